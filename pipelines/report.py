"""Figures of a run, and its final printout."""

import json
import logging
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple, Self

from rich.table import Table
from rich.text import Text

from pipelines.settings import Goals, Profile
from spatialreward.benchmarks.config import EditorGate, JudgeGate
from spatialreward.benchmarks.gate import Gate, bounds_of
from spatialreward.figures import Figure, figures_console, figures_table
from spatialreward.ops.tracking import ChildRun, TrackingError, fetch_files
from spatialreward.records import Scores
from spatialreward.stack import StackConfig, stack_command

logger = logging.getLogger(__name__)

_PICTURE_FOLDERS = ("samples", "curves")
_OTHER_JUDGES = {"untrained_judge": "untrained judge", "base_judge": "before training"}
_BESIDE_GATE = ("mean_iou", "pairwise_within_accuracy", "pairwise_across_accuracy")
"""Shown if measured: the first for judges with regions, the others for pairs within and across
instructions and sources."""
_BY_REASON = ("failed_share/", "mended_edits/")
"""Prefixes of figures that exist only for judges with such events."""


class Targets(NamedTuple):
    """Targets for the figures of a run."""

    judge: JudgeGate
    editor: EditorGate
    goals: Goals

    @classmethod
    def of(cls, profile: Profile) -> Self:
        """The registration gates of a profile's pipeline, and its goals."""
        return cls(profile.judge.gate, profile.editor_gate, profile.goals)


class Report(NamedTuple):
    """Figures of one run, and further baselines."""

    judge: list[Figure]
    """Their baseline is the difference of pixels."""
    others: dict[str, dict[str, float]]
    """Those of other judges, by kind and by the figures' names."""
    editor: list[Figure]
    """Their baseline is the editor before RL."""
    run: list[Figure]
    on_disk: Sequence[Figure] = ()
    """Of edits on disk; their baseline is the region proposal from pixels."""
    steps: Sequence[ChildRun] = ()
    """The runs of its steps in MLflow."""

    @property
    def figures(self) -> list[Figure]:
        """All of them."""
        return [*self.judge, *self.editor, *self.on_disk, *self.run]


def make_report(
    answers: Mapping[str, str],
    targets: Targets,
    total_s: float,
    peak_bytes: int,
    on_disk: Sequence[Figure] = (),
) -> Report:
    """Combine the pipeline's outputs with their targets.

    Args:
        answers: the pipeline's outputs; omits figures of a missing judge or editor.
        targets: the gates that decided, and the run's goals.
        total_s: duration of the run.
        peak_bytes: peak memory of all processes together.
        on_disk: figures of edits on disk, if any were judged.
    """
    judges = json.loads(answers.get("judge_figures", "{}"))
    edits = json.loads(answers.get("editor_figures", "{}"))
    goals = targets.goals
    return Report(
        judge=[
            *(_judge_figures(judges, targets.judge) if judges else ()),
            *_agreement(edits.get("agreement", {}), goals),
        ],
        others={
            called: {f"judge/{name}": value for name, value in judges[judge].items()}
            for judge, called in _OTHER_JUDGES.items()
            if judge in judges
        },
        editor=_editor_figures(edits["editor"], targets.editor) if edits else [],
        run=[
            Figure.at_most("time/total_s", total_s, goals.max_total_s, unit="s"),
            Figure.at_most("memory/peak_gb", peak_bytes / 1e9, goals.max_peak_gb, unit="GB"),
        ],
        on_disk=on_disk,
    )


def _judge_figures(judges: Mapping[str, Mapping[str, float]], gate: JudgeGate) -> list[Figure]:
    judge, pixels = judges["judge"], judges["pixel_difference"]
    asked = {bound.figure for bound in bounds_of(gate)}
    apart = [name for name in _BESIDE_GATE if name in judge and name not in asked]
    apart += [name for name in judge if name.startswith(_BY_REASON)]
    return [
        *_beside_bounds("judge", gate, judge, pixels),
        *(
            Figure(name=f"judge/{name}", value=judge[name], baseline=pixels.get(name))
            for name in apart
        ),
    ]


def _editor_figures(editor: Mapping[str, float], gate: EditorGate) -> list[Figure]:
    # If the truth of the tasks is unknown, only the judge measures the edits.
    by = next((one for one in ("oracle", "served") if f"{one}_reward_after" in editor), None)
    if by is None or f"{by}_reward_before" not in editor:
        return []
    before, after = (editor[f"{by}_reward_{when}"] for when in ("before", "after"))
    return [
        Figure(name=f"editor/{by}_reward_before", value=before),
        Figure.above(f"editor/{by}_reward_after", after, before, baseline=before),
        *_beside_bounds("editor", gate, editor, {}),
    ]


def _agreement(taus: Mapping[str, float], goals: Goals) -> list[Figure]:
    """The judge's agreement within groups of an editor's edits, if any group has an order."""
    figures = []
    if "judge" in taus:
        figures.append(
            Figure.at_least(
                "judge/within_group_agreement",
                taus["judge"],
                goals.min_within_group_agreement,
                baseline=taus.get("pixel_difference"),
            )
        )
    names = {"ceiling": "within_group_ceiling"}
    names |= {score: f"within_group/{score}" for score in Scores.model_fields}
    figures += [
        Figure(name=f"judge/{name}", value=taus[tau]) for tau, name in names.items() if tau in taus
    ]
    return figures


def _beside_bounds(
    group: str, gate: Gate, figures: Mapping[str, float], baselines: Mapping[str, float]
) -> list[Figure]:
    """A gate's figures, with its bounds as targets."""
    return [
        Figure(
            name=f"{group}/{bound.figure}",
            value=figures[bound.figure],
            baseline=baselines.get(bound.figure),
            target=bound.limit,
            reached=bound.holds(figures[bound.figure]),
        )
        for bound in bounds_of(gate)
        if bound.figure in figures
    ]


def gather_pictures(steps: Sequence[ChildRun], out: Path) -> list[Path]:
    """Replace a folder by the steps' pictures in MLflow; a reused step has its original ones."""
    shutil.rmtree(out, ignore_errors=True)
    found: list[Path] = []
    for step in steps:
        for folder in _PICTURE_FOLDERS:
            try:
                found += fetch_files(step.tags.get("reused_run_id", step.run_id), folder, out)
            except TrackingError as error:
                logger.warning("pictures of %s: %s", step.name, error)
    return found


def next_steps(stack: StackConfig) -> tuple[tuple[str, str], ...]:
    """Follow-up commands after a finished run, each with its effect."""
    up, env, down = (stack_command(verb, stack.state_dir) for verb in ("up", "env", "down"))
    return (
        ("source .venv/bin/activate", "brings the command spatialreward"),
        (up, "the store, MLflow, and Triton with the champion; prints MLflow's address"),
        (f'eval "$({env})"', "their addresses and keys, for this shell"),
        (
            "spatialreward judge --source BEFORE.png --edited AFTER.png "
            '--instruction "add a red hat" --overlay verdict.png',
            "pictures of your own",
        ),
        (down, ""),
    )


def print_report(
    report: Report, places: Mapping[str, str], commands: Sequence[tuple[str, str]]
) -> None:
    """Print the figures as tables, further locations, and follow-up commands."""
    console = figures_console()
    on_disk = "The same judge on edits on disk, unlike its training data"
    tables = [
        (report.judge, "Judge on held-out edits", report.others, "pixel difference"),
        (report.on_disk, on_disk, {}, "region proposal"),
        (report.editor, "Editor on held-out instructions", {}, "before RL"),
        (report.run, "Run", {}, "baseline"),
    ]
    shown = [
        figures_table(title, figures, others, baseline)
        for figures, title, others, baseline in tables
        if figures
    ]
    for table in shown:
        console.print()
        console.print(table)
    where = Table(title="Where to look", title_justify="left", show_header=False, show_edge=False)
    for what, place in places.items():
        where.add_row(what, Text(place))
    console.print()
    console.print(where)
    if not commands:
        return
    console.print()
    console.print(Text("Go on (README.md says more)", "bold"))
    for command, purpose in commands:
        console.print(Text.assemble(f"  {command}", (f"   # {purpose}" if purpose else "", "dim")))


def print_references(references: Mapping[str, str]) -> None:
    """Print the references for other pipelines, each as an option, in one line."""
    console = figures_console()
    for what, reference in references.items():
        console.print(Text(f"--{what} {reference}"), soft_wrap=True)
