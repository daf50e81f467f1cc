"""Runs a comparison of editors on benchmarks, and puts it where it is looked for.

That is a folder, and MLflow where a server is set.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from spatialreward.benchmarks.editors.config import EditorBenchmarkSettings
from spatialreward.benchmarks.editors.evaluation import (
    EditorEvaluation,
    Entrant,
    Grading,
    Lacking,
    check_grading,
    evaluate_editors,
)
from spatialreward.benchmarks.editors.gedit import LANGUAGES
from spatialreward.benchmarks.editors.interface import EditorBenchmark
from spatialreward.benchmarks.editors.load import NamedEditorBenchmark
from spatialreward.benchmarks.editors.page import write_report
from spatialreward.errors import InvalidInputError, SpatialRewardError
from spatialreward.ops.config import flatten
from spatialreward.ops.evaluation import metric_name
from spatialreward.ops.tracking import Tracker, open_run

STEP = "evaluate-editor"


class EditorPlan(NamedTuple):
    """What is to be measured."""

    entrants: Sequence[Entrant]
    """The first is the base."""
    benchmarks: Sequence[NamedEditorBenchmark]
    grading: Grading
    out: Path
    settings: EditorBenchmarkSettings = EditorBenchmarkSettings()
    languages: Collection[str] = LANGUAGES


def run_editor_evaluation(plan: EditorPlan, notice: Callable[[str], None]) -> EditorEvaluation:
    """Draw and grade what is not there yet, write the report, and log it.

    Args:
        plan: what is measured; ``out`` may be that of a run that was killed.
        notice: is told what a reader has to know.

    Raises:
        InvalidInputError: nothing can be measured, the judge cannot be asked, or an editor or
            benchmark is named twice.
        TrackingError: the server that is set does not answer.
    """
    editors = [one.name for one in plan.entrants]
    names = [one.name for one in plan.benchmarks]
    for kind, given in (("editor", editors), ("benchmark", names)):
        if twice := [one for one in given if given.count(one) > 1]:
            raise InvalidInputError(f"{kind} {twice[0]}: is named twice")
    if unknown := sorted(plan.grading.rubrics.keys() - {*names}):
        raise InvalidInputError(f"grader prompts of {unknown[0]}: it is not measured on")
    check_grading(plan.grading)
    benchmarks, missing = _opened(plan)
    with open_run(STEP, tags={"editors": ", ".join(editors)}) as tracker:
        tracker.log_params(_params(plan))
        report = evaluate_editors(
            benchmarks,
            plan.entrants,
            plan.grading,
            plan.out,
            plan.settings,
            missing=missing,
            notice=notice,
        )
        _log(tracker, report, write_report(report, plan.out))
    return report


def _opened(plan: EditorPlan) -> tuple[list[EditorBenchmark], list[Lacking]]:
    """The benchmarks that can be read, and why the others cannot.

    Raises:
        InvalidInputError: none of them can be read.
    """
    found, missing = [], []
    for one in plan.benchmarks:
        try:
            found.append(one.open(plan.languages))
        except SpatialRewardError as error:
            if len(plan.benchmarks) == 1:
                raise
            missing.append(Lacking(editor="", benchmark=one.name, reason=str(error)))
    if not found:
        raise InvalidInputError(f"{missing[0].benchmark}: {missing[0].reason}")
    return found, missing


def _params(plan: EditorPlan) -> Mapping[str, object]:
    named = {one.name: one.place for one in plan.benchmarks}
    return {**named, "judge": plan.grading.judge, **flatten(plan.settings.model_dump(mode="json"))}


def _log(tracker: Tracker, report: EditorEvaluation, files: Sequence[Path]) -> None:
    """The report, and as ``BENCHMARK/editor-N/FIGURE`` our figures and the time of drawing."""
    for path in files:
        tracker.log_file(path, "evaluation" if path.suffix != ".png" else "evaluation/plots")
    for one in report.benchmarks:
        for result in one.editors:
            figures = {row.name: row.ours for row in result.metrics if "/" not in row.name}
            if result.sampler is not None:
                figures["drawing_seconds_an_edit"] = result.sampler.seconds_an_edit
            tracker.log_metrics(
                {
                    metric_name(f"{one.benchmark}/editor-{result.number}/{name}"): value
                    for name, value in figures.items()
                    if value is not None
                }
            )
