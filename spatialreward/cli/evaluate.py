"""``spatialreward evaluate``: judges on benchmarks, side by side, with a report to promote by."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from spatialreward.cli.data_options import make_out
from spatialreward.cli.figure_options import (
    TrackingServer,
    comparison_table,
    metrics_table,
    price_of,
    use_tracking_server,
)
from spatialreward.cli.judge_options import JUDGES, AdapterFolder, Mode, Passes, ProtocolName

if TYPE_CHECKING:
    from spatialreward.benchmarks.results import BenchmarkReport, Price


def evaluate(
    judge: Annotated[
        list[str],
        typer.Option(
            "--judge",
            "--model",
            metavar="JUDGE",
            help=f"Judge to measure: {JUDGES}. Several: each is compared with the first.",
        ),
    ],
    out: Annotated[
        Path,
        typer.Option(
            metavar="DIR",
            help="Folder for report.json, report.md, plots and each judge's rows; the folder of a "
            "killed run goes on.",
        ),
    ],
    benchmark: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=PLACE",
            help="What to measure on: mer-bench=DIR, editreward-bench=DIR, "
            "tiger-editreward-bench=DIR, vcreward-bench=DIR, mmrb2=DIR (a folder as published, or "
            "hub:OWNER/NAME@REVISION), world=DATASET (any edits with labels: a folder, s3:// or "
            "hub:), or world alone: 4 edits of each of 64 generated tasks. Default, for a "
            "registered judge: the edits on which the champion was measured.",
        ),
    ] = None,
    base: Annotated[
        list[str] | None,
        typer.Option(
            metavar="JUDGE",
            help="Measure, too, what a judge was trained from. Default: the base in its card.",
        ),
    ] = None,
    adapter: AdapterFolder = None,
    protocol: ProtocolName = None,
    passes: Passes = 1,
    mode: Mode = None,
    price: Annotated[
        list[str] | None,
        typer.Option(
            metavar="JUDGE=IN,OUT",
            help="Price of a million tokens read and of a million written, in any currency, for a "
            "judge behind an address, such as openai:MODEL@https://HOST/v1=2.5,10.",
        ),
    ] = None,
    resize_to_source: Annotated[
        bool,
        typer.Option(
            "--resize-to-source",
            help="Bring edited pictures to the size of their source first, as EditScore does.",
        ),
    ] = False,
    mlflow: TrackingServer = None,
) -> None:
    """Measure judges on benchmarks: figures, ties, failures, calibration, cost, and who is better.

    Each edit is judged once, by each judge and by the base that it was trained from. Rows are
    written as they come, so the same command goes on with a run that was killed. What cannot be
    read or judged is named in the report, and the rest goes on.

    A registered judge measured on edits with a checksum gets a stored report, and the tag
    `evaluation` of its version points there: promote and deploy take only versions whose report
    is about their files.

    Example: spatialreward evaluate --judge judge --judge pixels --benchmark world --out evaluated
    """
    from spatialreward.benchmarks.contestants import How
    from spatialreward.benchmarks.load import Named
    from spatialreward.benchmarks.results import Role
    from spatialreward.ops.evaluation import Plan, run_evaluation

    plan = Plan(
        judges=judge,
        bases=base or (),
        benchmarks=[Named.parse(one) for one in benchmark or ()],
        out=out,
        how=How(adapter, protocol, passes, mode),
        prices=dict(map(_price, price or ())),
        resize_to_source=resize_to_source,
    )
    use_tracking_server(mlflow)
    make_out(out)
    outcome = run_evaluation(plan, lambda told: typer.echo(f"note: {told}", err=True))
    for one in outcome.report.benchmarks:
        _print(one)
    for one in outcome.report.missing:
        where = " on ".join(filter(None, (one.judge, one.benchmark)))
        typer.echo(f"missing: {where}: {one.reason}", err=True)
    for uri, reference in outcome.stored.items():
        typer.echo(f"report of {uri}: {reference}")
    typer.echo(f"written to {out / 'report.json'} and {out / 'report.md'}")
    if any(one.role is Role.JUDGE for one in outcome.report.missing):
        raise typer.Exit(1)


def _price(text: str) -> "tuple[str, Price]":
    name, _, amounts = text.rpartition("=")
    return name, price_of(amounts, f"--price {text}: expected JUDGE=IN,OUT")


def _print(report: "BenchmarkReport") -> None:
    from spatialreward.benchmarks.page import (
        calibration_in_words,
        cost_in_words,
        failed_in_words,
        named,
    )
    from spatialreward.figures import figures_console

    console = figures_console()
    typer.echo(f"\n{report.title}: {report.num_items:,} rows of {report.num_prompts:,} prompts")
    typer.echo(f"reference rules: {report.reference_rules}")
    for result in report.judges:
        typer.echo(f"\n{named(result)}: {failed_in_words(result)}")
        typer.echo(f"cost: {cost_in_words(result.cost)}")
        if result.calibration:
            typer.echo(f"calibration error: {calibration_in_words(result.calibration)}")
        console.print(metrics_table(result.metrics))
    for comparison in report.comparisons:
        typer.echo(f"\n{comparison.second} minus {comparison.first}, ours")
        console.print(comparison_table(comparison))
    if report.left_out:
        where, reason = report.left_out[0]
        typer.echo(f"left out: {len(report.left_out):,}, the first: {where}: {reason}", err=True)
