"""The report on editors for people: ``report.md``, its plots, and ``report.json`` beside."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path

from spatialreward.benchmarks.editors.evaluation import EditorEvaluation
from spatialreward.benchmarks.editors.results import (
    BASE,
    EditorBenchmarkReport,
    EditorResult,
    Sampler,
)
from spatialreward.benchmarks.page import (
    PLOTS,
    cost_in_words,
    lines_of_comparison,
    lines_of_left_out,
    lines_of_metrics,
    reasons_in_words,
    shown,
    shown_interval,
)
from spatialreward.benchmarks.results import MetricRow

_SHOWN_TIMES = 3


def write_report(report: EditorEvaluation, folder: Path) -> list[Path]:
    """Write ``report.json``, ``report.md`` and ``plots/``; returns the files."""
    folder.mkdir(parents=True, exist_ok=True)
    data, page = folder / "report.json", folder / "report.md"
    data.write_text(report.model_dump_json(indent=2) + "\n", encoding="utf-8")
    plots = [path for one in report.benchmarks for path in _draw(one, folder / PLOTS)]
    page.write_text("\n".join(_lines(report)) + "\n", encoding="utf-8")
    return [data, page, *plots]


def named(result: EditorResult) -> str:
    """An editor's name in the report."""
    return f"{result.editor.name} (base)" if result.number == BASE else result.editor.name


def lacking_in_words(result: EditorResult) -> str:
    """Missing edits and grades, in words."""
    ungraded = f"{sum(result.failed.values()):,} without a grade"
    if result.failed:
        ungraded += f" ({reasons_in_words(result.failed)})"
    return (
        f"{result.num_edits:,} edits, {len(result.missing):,} missing, {ungraded}, "
        f"{result.num_asked_again:,} asked again after an unreadable answer"
    )


def sampler_in_words(sampler: Sampler | None) -> str:
    """Sampling settings, in words."""
    if sampler is None:
        return "not drawn here"
    settings = sampler.settings
    first, last = settings.guidance_range
    shift = settings.time_shift
    spaced = "the editor's own times" if shift is None else f"times shifted by {shift:g}"
    some = [f"{time:.3f}" for time in sampler.times]
    if len(some) > 2 * _SHOWN_TIMES:
        some = [*some[:_SHOWN_TIMES], "..", *some[-_SHOWN_TIMES:]]
    own = [f"{name} {json.dumps(value)}" for name, value in sampler.editor.items()]
    return ", ".join(
        (
            " ".join((f"{settings.num_denoising_steps} steps at {spaced}", *some)),
            f"the editor's guidance from {first:g} to {last:g} of the way",
            f"seed {settings.seed}",
            "no settings of the editor's own" if not own else f"the editor's {', '.join(own)}",
        )
    )


def drawing_in_words(sampler: Sampler | None) -> str:
    """Time of drawing, in words."""
    if sampler is None or sampler.seconds_an_edit is None:
        return "not drawn here"
    seconds, number = sampler.seconds_an_edit, sampler.num_drawn
    return f"{seconds:.3g} s an edit on {sampler.device}, the median of {number:,}"


def headline(report: EditorBenchmarkReport) -> str:
    """A benchmark's main figure."""
    return next(row.name for row in report.editors[0].metrics if row.ours is not None)


def _lines(report: EditorEvaluation) -> Iterator[str]:
    yield "# Editors on benchmarks"
    yield ""
    yield f"- our rules: {report.our_rules}"
    yield from ("", "| benchmark | editor | first figure | 95 % interval | missing | no grade |")
    yield "| --- | --- | --- | --- | --- | --- |"
    for benchmark in report.benchmarks:
        for result in benchmark.editors:
            yield _in_short(benchmark, result)
    for benchmark in report.benchmarks:
        yield ""
        yield from _of_benchmark(benchmark)
    if report.missing:
        yield from ("", "## Missing", "")
        for one in report.missing:
            where = " on ".join(filter(None, (one.editor, one.benchmark)))
            yield f"- {where}: {' '.join(one.reason.split())}"


def _in_short(benchmark: EditorBenchmarkReport, result: EditorResult) -> str:
    row = _rows(result).get(headline(benchmark))
    figure = "" if row is None else f"{row.name} {shown(row.ours)}"
    interval = "" if row is None else shown_interval(row.interval)
    lacking = f"{len(result.missing):,}", f"{sum(result.failed.values()):,}"
    cells = (benchmark.benchmark, named(result), figure, interval, *lacking)
    return f"| {' | '.join(cells)} |"


def _of_benchmark(report: EditorBenchmarkReport) -> Iterator[str]:
    yield f"## {report.title}"
    yield ""
    yield f"{report.num_tasks:,} tasks, digest {report.digest}"
    yield ""
    yield f"- grader: {report.grader}"
    if report.grader_notice:
        yield f"- of the grader: {report.grader_notice}"
    yield f"- reference rules: {report.reference_rules}"
    yield f"- retries of an unreadable answer: {report.num_retries}"
    resized = "were" if report.resize_to_source else "were not"
    yield f"- edited pictures {resized} brought to the size of their source"
    yield from _by_type(report)
    for result in report.editors:
        yield from ("", f"### {named(result)}", "", lacking_in_words(result), "")
        if result.editor.weights:
            yield f"- checkpoint: {result.editor.weights}"
        yield f"- sampler: {sampler_in_words(result.sampler)}"
        yield f"- drawing: {drawing_in_words(result.sampler)}"
        yield f"- cost of grading: {cost_in_words(result.cost)}"
        yield from lines_of_metrics(result.metrics)
    for comparison in report.comparisons:
        yield from lines_of_comparison(comparison)
    for name in _plots_of(report):
        yield from ("", f"![{report.title}]({PLOTS}/{name})")
    yield from lines_of_left_out("Left out", report.left_out)
    for result in report.editors:
        yield from lines_of_left_out(f"Missing of {named(result)}", result.missing)


def _by_type(report: EditorBenchmarkReport) -> Iterator[str]:
    """The first figure by task type, all editors side by side."""
    if not report.task_types:
        return
    figure = headline(report)
    yield from ("", f"### {figure} by task type, ours (reference rules)", "")
    yield f"| task type | {' | '.join(named(one) for one in report.editors)} |"
    yield f"| --- |{' --- |' * len(report.editors)}"
    for name, label in ((f"{figure}/{one}", one) for one in report.task_types):
        rows = [_rows(one).get(name) for one in report.editors]
        yield f"| {' | '.join((label, *map(_both, rows)))} |"
    yield f"| all | {' | '.join(_both(_rows(one).get(figure)) for one in report.editors)} |"


def _both(row: MetricRow | None) -> str:
    if row is None:
        return ""
    reference = "" if row.reference is None else f" ({shown(row.reference)})"
    return f"{shown(row.ours)}{reference}"


def _rows(result: EditorResult) -> Mapping[str, MetricRow]:
    return {row.name: row for row in result.metrics}


def _plots_of(report: EditorBenchmarkReport) -> list[str]:
    names = [f"{report.benchmark}.png"]
    return names + [f"{report.benchmark}-by-type.png"] * bool(report.task_types)


def _draw(report: EditorBenchmarkReport, folder: Path) -> list[Path]:
    from spatialreward.visuals.charts import Bar, bar_panels, figure_with_intervals

    def bar(row: MetricRow | None) -> Bar | None:
        return None if row is None or row.ours is None else Bar(row.ours, row.interval)

    folder.mkdir(parents=True, exist_ok=True)
    figure = headline(report)
    rows = {_in_plots(one): _rows(one) for one in report.editors}
    bars = {name: bar(of_editor.get(figure)) for name, of_editor in rows.items()}
    whole = {name: (one.value, one.interval) for name, one in bars.items() if one is not None}
    paths = [folder / name for name in _plots_of(report)]
    figure_with_intervals(whole, f"{report.title}: {figure}").save(paths[0])
    if report.task_types:
        panels = {
            one: {name: [bar(known.get(f"{figure}/{one}"))] for name, known in rows.items()}
            for one in report.task_types
        }
        bar_panels(panels).save(paths[1])
    return paths


def _in_plots(result: EditorResult) -> str:
    """The end of an editor's name, which may be a long path; two names may end alike."""
    return f"{result.number} {result.editor.name.rstrip('/').rpartition('/')[2]}"
