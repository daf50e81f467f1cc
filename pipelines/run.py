"""Runs a profile's pipeline on this machine, from an empty stack to a table of figures.

Stops everything at the end, also after a failure.
"""

import logging
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

from pipelines.full import build_pipeline, num_steps
from pipelines.graph import LOG
from pipelines.memory import watched_memory
from pipelines.on_disk import judge_on_disk
from pipelines.parts import INPUTS, Part, run_name
from pipelines.placement import Here
from pipelines.refusals import refuse_here
from pipelines.report import (
    Report,
    Targets,
    gather_pictures,
    make_report,
    next_steps,
    print_references,
    print_report,
)
from pipelines.settings import Profile
from pipelines.steps import run_steps, step_environment, variables
from spatialreward.cli.edits import read_requests
from spatialreward.cli.judge import prepare_overlays
from spatialreward.errors import InvalidInputError
from spatialreward.figures import commit, write_figures
from spatialreward.ops.config import flatten
from spatialreward.ops.step import work_dir
from spatialreward.ops.tracking import Tracker, child_runs, open_run
from spatialreward.stack import Service, StackConfig, running_stack

logger = logging.getLogger(__name__)

NOTHING_GIVEN: Mapping[str, str] = MappingProxyType({})


class RunOptions(NamedTuple):
    """Options of a local run."""

    stack: StackConfig
    rerun: bool = False
    """Run every step again, even one with unchanged inputs."""
    also_judge: Path | None = None
    """JSONL of edits on disk to judge with the served judge at the end."""
    started_at: float | None = None
    """Start of the time measurement, in seconds since the epoch; default: the run's start."""
    out: Path = Path("build")
    """Folder of figures, pictures and overlays."""
    figures: str = "demo"
    """Name of the file of figures of a whole run."""


def run_here(
    profile: Profile,
    name: str,
    options: RunOptions,
    part: Part = Part.FULL,
    given: Mapping[str, str] = NOTHING_GIVEN,
) -> Report:
    """Run a pipeline and print its results.

    Args:
        profile: its settings.
        name: the profile's name.
        options: of the run.
        part: the whole, or one part.
        given: references of inputs that the part does not make itself.

    Raises:
        InvalidInputError: this machine cannot run it, or the edits are unreadable.
        GraphError: a step failed; has its name, its error, and its log.
        StackError: the local stack does not start.
    """
    started_at = options.started_at or time.time()
    refuse_here(profile, name, part, given)
    requests = read_requests(options.also_judge) if options.also_judge else []
    if requests and not part.makes_editor:
        raise InvalidInputError(f"--also-judge: --pipeline {part} serves no judge")
    demo = options.out / "demo"
    if requests:
        prepare_overlays(demo / "overlays", requests)
    stack = options.stack
    if not part.makes_editor:
        stack = stack.model_copy(update={"without": stack.without | {Service.TRITON}})
    with (
        running_stack(stack) as endpoints,
        variables(step_environment(endpoints, stack.state_dir)),
        watched_memory(lambda: [process.pid for process in endpoints.processes]) as memory,
        open_run(
            run_name(name, part), tags={"profile": name, "pipeline": part, "commit": commit()}
        ) as parent,
    ):
        parent.log_params(flatten(profile.model_dump(mode="json")))
        folder = work_dir() / "runs" / str(parent.run_id)
        answers = run_steps(
            build_pipeline(profile, name, part, Here(name, profile.resources)),
            parent,
            folder,
            num_steps(profile, part),
            rerun=options.rerun,
            given={what: _absolute(one) for what, one in given.items()},
        )
        on_disk = judge_on_disk(requests, demo / "overlays") if requests else []
        steps = child_runs(str(parent.run_id))
        reused = [step.name for step in steps if step.tags.get("reused") == "true"]
        gather_pictures(steps, demo / "pictures")
        report = make_report(
            answers, Targets.of(profile), time.time() - started_at, memory.peak_bytes, on_disk
        )._replace(steps=steps)
        name = options.figures if part is Part.FULL else f"pipeline-{part}"
        figures = _record(profile, parent, report, reused, options.out / "figures", name)
    places = {
        what: answers[f"{what}_model"] for what in ("judge", "editor") if f"{what}_model" in answers
    }
    if not part.makes_data or part.makes_judge:
        places["sample sheets, curve"] = str(demo / "pictures")
    places |= {"figures": str(figures), "log of all steps": str(folder / LOG)}
    if requests:
        places["overlays"] = str(demo / "overlays")
    if reused:
        places["reused steps"] = ", ".join(dict.fromkeys(reused))
    print_report(report, places, next_steps(options.stack) if part.makes_editor else ())
    print_references({what: answers[what] for what in INPUTS if what in answers})
    return report


def _absolute(reference: str) -> str:
    """Make a relative folder absolute, for steps with another working folder."""
    is_folder = reference and not reference.startswith(("s3://", "hub:"))
    return str(Path(reference).absolute()) if is_folder else reference


def _record(
    profile: Profile,
    parent: Tracker,
    report: Report,
    reused: Sequence[str],
    folder: Path,
    name: str,
) -> Path:
    path = write_figures(
        name,
        report.figures,
        seeds=profile.seeds(),
        more={"baselines": report.others, "reused_steps": list(reused)},
        folder=folder,
    )
    parent.log_metrics({figure.name: figure.value for figure in report.figures})
    parent.log_file(path)
    return path
