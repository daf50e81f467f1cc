"""Editors' results on one benchmark, as stored."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from spatialreward.benchmarks.editors.config import DrawingSettings
from spatialreward.benchmarks.editors.grading import Graded
from spatialreward.benchmarks.editors.interface import EditorBenchmark, Grades
from spatialreward.benchmarks.results import (
    Comparison,
    CostRow,
    MetricRow,
    Price,
    comparison,
    cost_row,
    metric_row,
)
from spatialreward.errors import Failure
from spatialreward.records import JudgeIdentity, Record

BASE = 1
"""Number of the base editor."""


class EditorIdentity(Record):
    """An editor, or the origin of pictures."""

    name: str
    """Its name on the command line."""
    weights: str
    """SHA-256 of the checkpoint; empty: existing pictures."""


class Sampler(Record):
    """Sampling settings of the pictures."""

    settings: DrawingSettings
    editor: dict[str, Any]
    """The editor's own settings, such as its guidance scales, by their names in its configuration;
    those of the first task."""
    times: tuple[float, ...]
    """Of the steps, 0 noise and 1 data; empty: nothing drawn."""
    device: str
    num_drawn: int
    seconds_an_edit: float | None
    """Median, over devices of this and earlier commands; None: nothing drawn."""


class EditorResult(Record):
    """One editor's results."""

    number: int
    """In the order of names, from 1; the first is the base."""
    editor: EditorIdentity
    sampler: Sampler | None
    """None: existing pictures."""
    num_edits: int
    """Edited pictures that were graded or that the grader failed on."""
    missing: tuple[tuple[str, str], ...]
    """Tasks without a readable edited picture, and why."""
    failed: dict[Failure, int]
    """Edits without a grade by reason, after all attempts."""
    num_asked_again: int
    """Edits whose first answer was unreadable."""
    num_reused: int
    """Edits graded by earlier commands."""
    metrics: tuple[MetricRow, ...]
    cost: CostRow
    """Of grading."""


class EditorBenchmarkReport(Record):
    """All editors' results on one benchmark."""

    benchmark: str
    title: str
    digest: str
    """Of the benchmark's tasks."""
    num_tasks: int
    left_out: tuple[tuple[str, str], ...]
    """Unusable rows and files: place and reason."""
    resize_to_source: bool
    reference_rules: str
    grader: JudgeIdentity
    grader_notice: str
    num_retries: int
    """Retries of unreadable answers."""
    task_types: tuple[str, ...]
    editors: tuple[EditorResult, ...]
    comparisons: tuple[Comparison, ...]
    """Of each editor with the base, if the base was measured."""


class Measured(NamedTuple):
    """An editor's grades on a benchmark."""

    number: int
    """In the order of names, from 1; the first is the base."""
    editor: EditorIdentity
    sampler: Sampler | None
    graded: Graded


def report_on(
    benchmark: EditorBenchmark,
    measured: Sequence[Measured],
    notice: str,
    price: Price | None = None,
) -> EditorBenchmarkReport:
    """Score grades of one benchmark, and compare each editor with the base.

    Args:
        benchmark: the tasks.
        measured: at least one editor, by number, all graded alike.
        notice: a remark on the grader for readers.
        price: of its tokens.
    """
    tasks, left_out = benchmark.published
    scored = [benchmark.score(one.graded.grades) for one in measured]
    has_base = measured[0].number == BASE
    record = measured[0].graded.record
    return EditorBenchmarkReport(
        benchmark=benchmark.name,
        title=benchmark.title,
        digest=benchmark.published.digest,
        num_tasks=len(tasks),
        left_out=left_out,
        resize_to_source=record.resize_to_source,
        reference_rules=benchmark.rules,
        grader=record.grader,
        grader_notice=notice,
        num_retries=record.num_retries,
        task_types=tuple(dict.fromkeys(one.task_type for one in tasks if one.task_type)),
        editors=tuple(
            EditorResult(
                number=one.number,
                editor=one.editor,
                sampler=one.sampler,
                num_edits=len(one.graded.grades),
                missing=tuple(one.graded.missing.items()),
                failed=_failed(one.graded.grades),
                num_asked_again=sum(len(grade.answers) > 1 for grade in one.graded.grades.values()),
                num_reused=one.graded.num_reused,
                metrics=tuple(map(metric_row, metrics)),
                cost=cost_row(one.graded.cost, one.graded.num_asked, price),
            )
            for one, metrics in zip(measured, scored, strict=True)
        ),
        comparisons=tuple(
            comparison(measured[0].editor.name, scored[0], one.editor.name, metrics)
            for one, metrics in zip(measured[1:], scored[1:], strict=True)
            if has_base
        ),
    )


def _failed(grades: Grades) -> dict[Failure, int]:
    found = [one.failure for one in grades.values() if one.failure is not None]
    return {reason: found.count(reason) for reason in Failure if reason in found}
