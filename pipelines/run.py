"""Runs a profile on this machine, from an empty stack to a table of figures.

Nothing is left running, however it ends.
"""

import logging
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from pipelines.dag import build_pipeline
from pipelines.machine import check_runnable
from pipelines.memory import watched_memory
from pipelines.on_disk import judge_on_disk
from pipelines.placement import Here
from pipelines.profile import Profile
from pipelines.report import (
    Gates,
    Report,
    gather_pictures,
    make_report,
    next_steps,
    print_report,
)
from pipelines.steps import run_steps, step_environment, variables
from spatialreward.cli.edits import read_requests
from spatialreward.cli.judge import prepare_overlays
from spatialreward.figures import commit, write_figures
from spatialreward.ops.config import flatten
from spatialreward.ops.step import work_dir
from spatialreward.ops.tracking import Tracker, child_runs, open_run
from spatialreward.stack import StackConfig, running_stack

logger = logging.getLogger(__name__)


def fixed_steps(profile: Profile) -> int:
    """How many steps a profile's pipeline has beside one for each shard."""
    training = profile.judge.training
    return 10 + (2 if training.earlier_step else 0) + (1 if training.drawn_share else 0)


class RunOptions(NamedTuple):
    """How a profile is run here."""

    stack: StackConfig
    anew: bool = False
    """Do every step again, even one that was done with the same inputs."""
    also_judge: Path | None = None
    """JSONL of edits on disk to judge with the served judge at the end."""
    started_at: float | None = None
    """Seconds since the epoch, from when on time counts; by default from the run's beginning."""
    out: Path = Path("build")
    """Folder of figures, pictures and overlays."""


def run_here(profile: Profile, name: str, options: RunOptions) -> Report:
    """Run a profile's pipeline and print what came of it.

    Raises:
        InvalidInputError: this machine cannot run the profile, or the edits cannot be read.
        GraphError: a step failed; names it, what it said, and its log.
        StackError: the local stack does not start.
    """
    started_at = options.started_at or time.time()
    check_runnable(profile, name)
    requests = read_requests(options.also_judge) if options.also_judge else []
    overlays = options.out / "demo" / "overlays"
    if requests:
        prepare_overlays(overlays, requests)
    with (
        running_stack(options.stack) as endpoints,
        variables(step_environment(endpoints, options.stack.state_dir)),
        watched_memory(lambda: [process.pid for process in endpoints.processes]) as memory,
        open_run(f"pipeline {name}", tags={"profile": name, "commit": commit()}) as parent,
    ):
        parent.log_params(flatten(profile.model_dump(mode="json")))
        folder = work_dir() / "runs" / str(parent.run_id)
        answers = run_steps(
            build_pipeline(profile, name, Here(name, profile.resources)),
            parent,
            folder,
            profile.data.num_shards + fixed_steps(profile),
            anew=options.anew,
        )
        on_disk = judge_on_disk(requests, overlays) if requests else []
        steps = child_runs(str(parent.run_id))
        reused = [step.name for step in steps if step.tags.get("reused") == "true"]
        gather_pictures(steps, options.out / "demo" / "pictures")
        report = make_report(
            answers, Gates.of(profile), time.time() - started_at, memory.peak_bytes, on_disk
        )
        _record(profile, parent, report, reused, options.out)
    places = {
        "judge and editor": f"{answers['judge_model']}, {answers['editor_model']}",
        "sample sheets, curve": str(options.out / "demo" / "pictures"),
        "figures": str(options.out / "figures" / "demo.json"),
        "log of all steps": str(folder / "log.txt"),
    }
    if requests:
        places["overlays"] = str(overlays)
    if reused:
        places["reused steps"] = ", ".join(dict.fromkeys(reused))
    print_report(report, places, next_steps(options.stack))
    return report


def _record(
    profile: Profile, parent: Tracker, report: Report, reused: Sequence[str], out: Path
) -> None:
    path = write_figures(
        "demo",
        report.figures,
        seeds=profile.seeds(),
        more={"baselines": {"untrained judge": report.untrained}, "reused_steps": list(reused)},
        folder=out / "figures",
    )
    parent.log_metrics({figure.name: figure.value for figure in report.figures})
    parent.log_file(path)
