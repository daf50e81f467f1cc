"""What judges reach on a benchmark: ``report.json`` for programs, ``report.md`` for people."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from spatialreward.benchmarks.interface import Benchmark, Metric
from spatialreward.benchmarks.run import Run, failed_edits
from spatialreward.benchmarks.statistics import (
    NUM_RESAMPLES,
    SEED,
    compare,
    interval_of,
    mean_of,
)
from spatialreward.errors import Failure
from spatialreward.figures import commit, versions
from spatialreward.records import JudgeIdentity, Record

OUR_RULES = (
    "failed and missing judgements are wrong, ties are neither hidden nor broken; intervals "
    "(95 %) and tests resample prompts"
)


class MetricRow(Record):
    """One figure of one judge."""

    name: str
    reference: float | None
    """Under the benchmark's reference rules."""
    ours: float | None
    interval: tuple[float, float] | None
    """Of ours, 95 %; None for a single prompt."""
    num_rows: int | None
    """Behind ours."""


class PairedRow(Record):
    """How two judges differ in one figure of ours."""

    name: str
    difference: float
    """The second judge's figure minus the first one's."""
    interval: tuple[float, float] | None
    p_value: float
    num_prompts: int


class JudgeResult(Record):
    """What one judge reaches."""

    judge: JudgeIdentity
    num_edits: int
    """Edits that were judged, each once."""
    failed: dict[Failure, int]
    """Edits without a judgement by reason."""
    metrics: tuple[MetricRow, ...]


class Comparison(Record):
    """The second judge beside the first, on the same rows."""

    first: str
    second: str
    rows: tuple[PairedRow, ...]


class BenchmarkReport(Record):
    """All of an evaluation."""

    benchmark: str
    title: str
    digest: str
    """Of the benchmark's edits and their order."""
    num_items: int
    num_prompts: int
    left_out: tuple[tuple[str, str], ...]
    """Rows and files that are not measured on: where, and why."""
    resize_to_source: bool
    reference_rules: str
    our_rules: str = OUR_RULES
    num_resamples: int = NUM_RESAMPLES
    seed: int = SEED
    judges: tuple[JudgeResult, ...]
    comparisons: tuple[Comparison, ...]
    versions: dict[str, str]
    commit: str


class _Scored(NamedTuple):
    run: Run
    metrics: Sequence[Metric]


def report_on(benchmark: Benchmark, runs: Sequence[Run]) -> BenchmarkReport:
    """Score runs of one benchmark, and compare each judge with the first.

    Args:
        benchmark: what was judged.
        runs: of one judge each, one at least.
    """
    scored = [_Scored(run, benchmark.score(run.judgements)) for run in runs]
    items, left_out = benchmark.published
    return BenchmarkReport(
        benchmark=benchmark.name,
        title=benchmark.title,
        digest=benchmark.published.digest,
        num_items=len(items),
        num_prompts=len({item.prompt for item in items}),
        left_out=left_out,
        resize_to_source=runs[0].record.resize_to_source,
        reference_rules=benchmark.rules,
        judges=tuple(map(_result, scored)),
        comparisons=tuple(_comparison(scored[0], one) for one in scored[1:]),
        versions=versions(),
        commit=commit(),
    )


def write_report(report: BenchmarkReport, folder: Path) -> None:
    """Write ``report.json`` and ``report.md``."""
    told = report.model_dump_json(indent=2)
    (folder / "report.json").write_text(told + "\n", encoding="utf-8")
    (folder / "report.md").write_text(as_markdown(report), encoding="utf-8")


def as_markdown(report: BenchmarkReport) -> str:
    """The report as a page."""
    return "\n".join(_lines(report)) + "\n"


def shown(value: float | None) -> str:
    """A figure in a table."""
    return "" if value is None else f"{value:.3f}"


def shown_interval(interval: tuple[float, float] | None) -> str:
    """An interval in a table."""
    return "" if interval is None else f"{interval[0]:.3f} .. {interval[1]:.3f}"


def _lines(report: BenchmarkReport) -> Iterator[str]:
    yield f"# {report.title}"
    yield ""
    yield f"{report.num_items:,} rows of {report.num_prompts:,} prompts, digest {report.digest}"
    yield ""
    yield f"- reference rules: {report.reference_rules}"
    yield f"- our rules: {report.our_rules}"
    if report.resize_to_source:
        yield "- edited pictures were brought to the size of their source"
    for result in report.judges:
        yield from ("", f"## {result.judge}", "", failed_in_words(result), "")
        yield "| figure | reference rules | ours | 95 % interval | rows |"
        yield "| --- | --- | --- | --- | --- |"
        for row in result.metrics:
            num_rows = "" if row.num_rows is None else f"{row.num_rows:,}"
            cells = (shown(row.reference), shown(row.ours), shown_interval(row.interval), num_rows)
            yield f"| {' | '.join((row.name, *cells))} |"
    for comparison in report.comparisons:
        yield from ("", f"## {comparison.second} minus {comparison.first}, ours", "")
        yield "| figure | difference | 95 % interval | p | prompts |"
        yield "| --- | --- | --- | --- | --- |"
        for row in comparison.rows:
            cells = (shown(row.difference), shown_interval(row.interval), f"{row.p_value:.4f}")
            yield f"| {' | '.join((row.name, *cells, f'{row.num_prompts:,}'))} |"
    if report.left_out:
        yield from ("", f"## Left out: {len(report.left_out):,}", "")
        yield from (f"- {where}: {' '.join(reason.split())}" for where, reason in report.left_out)


def failed_in_words(result: JudgeResult) -> str:
    """How many edits have no judgement, and why."""
    total = sum(result.failed.values())
    reasons = ", ".join(f"{reason} {count:,}" for reason, count in result.failed.items())
    return f"no judgement of {total:,} of {result.num_edits:,} edits" + (reasons and f": {reasons}")


def _result(scored: _Scored) -> JudgeResult:
    return JudgeResult(
        judge=scored.run.record.judge,
        num_edits=len(scored.run.judgements),
        failed=failed_edits(scored.run.judgements),
        metrics=tuple(map(_row, scored.metrics)),
    )


def _row(metric: Metric) -> MetricRow:
    ours = metric.ours
    return MetricRow(
        name=metric.name,
        reference=metric.reference,
        ours=None if ours is None else mean_of(ours),
        interval=None if ours is None else interval_of(ours),
        num_rows=None if ours is None else ours.num_rows,
    )


def _comparison(first: _Scored, second: _Scored) -> Comparison:
    others = {metric.name: metric.ours for metric in second.metrics}
    rows = []
    for name, _, ours in first.metrics:
        # Figures of reference rules alone, such as error types, need not be there for both.
        if ours is not None and (other := others[name]) is not None:
            rows.append(PairedRow(name=name, **compare(ours, other)._asdict()))
    return Comparison(
        first=str(first.run.record.judge), second=str(second.run.record.judge), rows=tuple(rows)
    )
