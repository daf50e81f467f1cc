"""The report of an evaluation for people: ``report.md``, its plots, and ``report.json`` beside."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from spatialreward.benchmarks.calibration import Calibration
from spatialreward.benchmarks.evaluation import Evaluation
from spatialreward.benchmarks.results import (
    BenchmarkReport,
    Comparison,
    CostRow,
    JudgeResult,
    MetricRow,
    Role,
)
from spatialreward.errors import Failure

PLOTS = "plots"


def write_report(report: Evaluation, folder: Path) -> list[Path]:
    """Write ``report.json``, ``report.md`` and ``plots/``; returns the files."""
    folder.mkdir(parents=True, exist_ok=True)
    data, page = folder / "report.json", folder / "report.md"
    data.write_text(report.model_dump_json(indent=2) + "\n", encoding="utf-8")
    plots = _draw(report, folder / PLOTS)
    page.write_text(as_markdown(report), encoding="utf-8")
    return [data, page, *plots]


def as_markdown(report: Evaluation) -> str:
    """The report in Markdown."""
    return "\n".join(_lines(report)) + "\n"


def shown(value: float | None) -> str:
    """A figure in a table."""
    return "" if value is None else f"{value:.3f}"


def shown_interval(interval: tuple[float, float] | None) -> str:
    """An interval in a table."""
    return "" if interval is None else f"{interval[0]:.3f} .. {interval[1]:.3f}"


def named(result: JudgeResult) -> str:
    """A judge's name in the report."""
    role = "" if result.role is Role.JUDGE else f" ({result.role})"
    return f"{result.judge}{role}"


def failed_in_words(result: JudgeResult) -> str:
    """Number of edits without a judgement, and why."""
    total = sum(result.failed.values())
    failed = f"no judgement of {total:,} of {result.num_edits:,} edits"
    return ": ".join(filter(None, (failed, reasons_in_words(result.failed))))


def reasons_in_words(failed: Mapping[Failure, int]) -> str:
    """Reasons with their counts."""
    return ", ".join(f"{reason} {count:,}" for reason, count in failed.items())


def cost_in_words(cost: CostRow) -> str:
    """Cost of the judgements, in words."""
    parts = [f"{cost.seconds:,.1f} s"]
    if cost.judgements_per_s is not None:
        parts.append(f"{cost.judgements_per_s:.3g} judgements/s")
    if cost.prompt_tokens is not None:
        parts.append(f"{cost.prompt_tokens:,} + {cost.completion_tokens:,} tokens")
    if cost.money is not None:
        parts.append(f"{cost.money:,.2f} in the currency of --price")
    return ", ".join(parts)


def calibration_in_words(calibration: tuple[Calibration, ...]) -> str:
    """Both measures."""
    return ", ".join(f"{one.of} {one.error:.3f} (of {one.num:,})" for one in calibration)


def _lines(report: Evaluation) -> Iterator[str]:
    yield "# Judges on benchmarks"
    yield ""
    yield f"- our rules: {report.our_rules}"
    yield f"- calibration: {report.calibration_rules}"
    yield from ("", "| benchmark | judge | first figure | 95 % interval | no judgement | seconds |")
    yield "| --- | --- | --- | --- | --- | --- |"
    for benchmark in report.benchmarks:
        for result in benchmark.judges:
            yield _in_short(benchmark, result)
    for benchmark in report.benchmarks:
        yield ""
        yield from _of_benchmark(benchmark)
    if report.missing:
        yield from ("", "## Missing", "")
        for one in report.missing:
            where = " on ".join(filter(None, (one.judge, one.benchmark)))
            yield f"- {where}: {' '.join(one.reason.split())}"


def headline(benchmark: BenchmarkReport) -> str:
    """A benchmark's main figure, which decides promotion."""
    return next(row.name for row in benchmark.judges[0].metrics if row.ours is not None)


def _in_short(benchmark: BenchmarkReport, result: JudgeResult) -> str:
    [row] = [one for one in result.metrics if one.name == headline(benchmark)]
    failed = f"{sum(result.failed.values()):,} of {result.num_edits:,}"
    figure = f"{row.name} {shown(row.ours)}"
    cells = (figure, shown_interval(row.interval), failed, f"{result.cost.seconds:,.1f}")
    return f"| {' | '.join((benchmark.benchmark, named(result), *cells))} |"


def _of_benchmark(report: BenchmarkReport) -> Iterator[str]:
    yield f"## {report.title}"
    yield ""
    yield f"{report.num_items:,} rows of {report.num_prompts:,} prompts, digest {report.digest}"
    yield ""
    yield f"- reference rules: {report.reference_rules}"
    if report.resize_to_source:
        yield "- edited pictures were brought to the size of their source"
    for result in report.judges:
        yield from ("", f"### {named(result)}", "", failed_in_words(result), "")
        yield f"- cost: {cost_in_words(result.cost)}"
        if result.calibration:
            yield f"- calibration error: {calibration_in_words(result.calibration)}"
        yield from lines_of_metrics(result.metrics)
    for comparison in report.comparisons:
        yield from lines_of_comparison(comparison)
    for name in _plots_of(report):
        yield from ("", f"![{report.title}]({PLOTS}/{name})")
    yield from lines_of_left_out("Left out", report.left_out)


def lines_of_metrics(metrics: Sequence[MetricRow]) -> Iterator[str]:
    """Figures as a table."""
    yield from ("", "| figure | reference rules | ours | 95 % interval | rows |")
    yield "| --- | --- | --- | --- | --- |"
    for row in metrics:
        num_rows = "" if row.num_rows is None else f"{row.num_rows:,}"
        cells = (shown(row.reference), shown(row.ours), shown_interval(row.interval), num_rows)
        yield f"| {' | '.join((row.name, *cells))} |"


def lines_of_left_out(heading: str, left_out: Sequence[tuple[str, str]]) -> Iterator[str]:
    """Unusable rows, and why; nothing if there are none."""
    if left_out:
        yield from ("", f"### {heading}: {len(left_out):,}", "")
        yield from (f"- {where}: {' '.join(reason.split())}" for where, reason in left_out)


def lines_of_comparison(comparison: Comparison) -> Iterator[str]:
    """A comparison as a table."""
    yield from ("", f"### {comparison.second} minus {comparison.first}, ours", "")
    yield "| figure | difference | 95 % interval | p | prompts |"
    yield "| --- | --- | --- | --- | --- |"
    for row in comparison.rows:
        cells = (shown(row.difference), shown_interval(row.interval), f"{row.p_value:.4f}")
        yield f"| {' | '.join((row.name, *cells, f'{row.num_prompts:,}'))} |"


def _plots_of(report: BenchmarkReport) -> list[str]:
    drawn = [f"{report.benchmark}.png"]
    kinds = dict.fromkeys(one.of for result in report.judges for one in result.calibration)
    return drawn + [f"{report.benchmark}-{kind.replace(' ', '-')}.png" for kind in kinds]


def _draw(report: Evaluation, folder: Path) -> list[Path]:
    from spatialreward.visuals.charts import figure_with_intervals, reliability_diagram

    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for benchmark in report.benchmarks:
        first, *reliabilities = _plots_of(benchmark)
        figure = headline(benchmark)
        bars = {
            named(result): (row.ours, row.interval)
            for result in benchmark.judges
            for row in result.metrics
            if row.name == figure and row.ours is not None
        }
        figure_with_intervals(bars, f"{benchmark.title}: {figure}").save(folder / first)
        written.append(folder / first)
        kinds = dict.fromkeys(one.of for result in benchmark.judges for one in result.calibration)
        for kind, name in zip(kinds, reliabilities, strict=True):
            curves = {
                named(result): [(one.predicted, one.true) for one in calibration.bins]
                for result in benchmark.judges
                for calibration in result.calibration
                if calibration.of == kind
            }
            reliability_diagram(curves, f"{benchmark.title}: {kind}").save(folder / name)
            written.append(folder / name)
    return written
