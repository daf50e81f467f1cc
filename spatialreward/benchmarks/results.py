"""Judges' results on one benchmark, as stored."""

from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import NamedTuple

from spatialreward.benchmarks.calibration import Calibration, calibrations
from spatialreward.benchmarks.interface import Benchmark, Metric
from spatialreward.benchmarks.labelled import LabelledEdits
from spatialreward.benchmarks.rows import Cost
from spatialreward.benchmarks.run import Run, failed_edits
from spatialreward.benchmarks.statistics import compare, interval_of, mean_of
from spatialreward.errors import Failure
from spatialreward.records import JudgeIdentity, Record

_TOKENS_A_PRICE = 1_000_000


class Role(StrEnum):
    """A judge's role in the report."""

    JUDGE = "judge"
    BASE = "base"
    """The starting point of a judge's training."""
    BASELINE = "baseline"
    """Needs no model."""


class Price(NamedTuple):
    """Cost of a million tokens."""

    prompt: float
    completion: float


class Measured(NamedTuple):
    """A judge's run over a benchmark, and its role."""

    name: str
    """Its name on the command line."""
    role: Role
    run: Run
    price: Price | None = None


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
    """Difference of two judges, or two editors, in one figure of ours."""

    name: str
    difference: float
    """The second one's figure minus the first one's."""
    interval: tuple[float, float] | None
    p_value: float
    num_prompts: int


class CostRow(Record):
    """Cost of a judge's rows, over all processes."""

    seconds: float
    judgements_per_s: float | None
    prompt_tokens: int | None
    """None if the judge counts none."""
    completion_tokens: int | None
    money: float | None
    """None without a price."""


class JudgeResult(Record):
    """One judge's results."""

    name: str
    role: Role
    judge: JudgeIdentity
    num_edits: int
    """Judged edits, each once."""
    num_reused: int
    """Of these, the number judged by earlier commands."""
    failed: dict[Failure, int]
    """Edits without a judgement by reason."""
    metrics: tuple[MetricRow, ...]
    calibration: tuple[Calibration, ...]
    cost: CostRow


class Comparison(Record):
    """The second judge or editor against the first, on the same rows."""

    first: str
    second: str
    rows: tuple[PairedRow, ...]


class BenchmarkReport(Record):
    """All judges' results on one benchmark."""

    benchmark: str
    title: str
    digest: str
    """Of the benchmark's edits and their order."""
    num_items: int
    num_prompts: int
    left_out: tuple[tuple[str, str], ...]
    """Unusable rows and files: place and reason."""
    resize_to_source: bool
    reference_rules: str
    judges: tuple[JudgeResult, ...]
    comparisons: tuple[Comparison, ...]


class _Scored(NamedTuple):
    run: Run
    metrics: Sequence[Metric]


def report_on(benchmark: Benchmark, measured: Sequence[Measured]) -> BenchmarkReport:
    """Score runs of one benchmark, and compare each judge with the first.

    Args:
        benchmark: the edits.
        measured: at least one judge.
    """
    scored = [_Scored(one.run, benchmark.score(one.run.judgements)) for one in measured]
    items, left_out = benchmark.published
    return BenchmarkReport(
        benchmark=benchmark.name,
        title=benchmark.title,
        digest=benchmark.published.digest,
        num_items=len(items),
        num_prompts=len({item.prompt for item in items}),
        left_out=left_out,
        resize_to_source=measured[0].run.record.resize_to_source,
        reference_rules=benchmark.rules,
        judges=tuple(
            _result(benchmark, one, score.metrics)
            for one, score in zip(measured, scored, strict=True)
        ),
        comparisons=tuple(
            comparison(_judge_of(scored[0]), scored[0].metrics, _judge_of(one), one.metrics)
            for one in scored[1:]
        ),
    )


def _result(benchmark: Benchmark, measured: Measured, metrics: Sequence[Metric]) -> JudgeResult:
    run = measured.run
    truths = benchmark.truths if isinstance(benchmark, LabelledEdits) else {}
    return JudgeResult(
        name=measured.name,
        role=measured.role,
        judge=run.record.judge,
        num_edits=len(run.judgements),
        num_reused=run.num_reused,
        failed=failed_edits(run.judgements),
        metrics=tuple(map(metric_row, metrics)),
        calibration=calibrations(benchmark.published.items, run.judgements, truths),
        cost=cost_row(run.cost, run.num_asked, measured.price),
    )


def _judge_of(scored: _Scored) -> str:
    return str(scored.run.record.judge)


def cost_row(cost: Cost, num_asked: int, price: Price | None) -> CostRow:
    """Cost of rows, ``num_asked`` in number; in money if there is a price."""
    tokens = (round(cost.prompt_tokens), round(cost.completion_tokens))
    is_counted = any(tokens)
    money = None
    if price is not None and is_counted:
        money = (tokens[0] * price.prompt + tokens[1] * price.completion) / _TOKENS_A_PRICE
    return CostRow(
        seconds=cost.seconds,
        judgements_per_s=num_asked / cost.seconds if cost.seconds else None,
        prompt_tokens=tokens[0] if is_counted else None,
        completion_tokens=tokens[1] if is_counted else None,
        money=money,
    )


def metric_row(metric: Metric) -> MetricRow:
    """A figure with its interval."""
    ours = metric.ours
    return MetricRow(
        name=metric.name,
        reference=metric.reference,
        ours=None if ours is None else mean_of(ours),
        interval=None if ours is None else interval_of(ours),
        num_rows=None if ours is None else ours.num_rows,
    )


def comparison(
    first: str, metrics: Sequence[Metric], second: str, others: Sequence[Metric]
) -> Comparison:
    """Compare the second with the first by common figures.

    Raises:
        ValueError: a figure's rows differ.
    """
    known: Mapping[str, Metric] = {metric.name: metric for metric in others}
    rows = []
    for name, _, ours in metrics:
        # One may lack figures of regions that it does not predict, or of error types.
        other = known[name].ours if name in known else None
        if ours is not None and other is not None:
            rows.append(PairedRow(name=name, **compare(ours, other)._asdict()))
    return Comparison(first=first, second=second, rows=tuple(rows))
