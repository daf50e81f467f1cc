"""``spatialreward benchmark``: judges on public benchmarks, by published rules and by ours."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from spatialreward.cli.benchmark_attention import attention
from spatialreward.cli.benchmark_trust import trust
from spatialreward.cli.judge_options import JUDGES, ProtocolName

if TYPE_CHECKING:
    from rich.table import Table

    from spatialreward.benchmarks.interface import Benchmark
    from spatialreward.benchmarks.results import BenchmarkReport, Comparison, JudgeResult

app = typer.Typer(
    no_args_is_help=True,
    help="Measure judges: on public benchmarks, under attack, and where they look.",
)

Folder = Annotated[
    Path, typer.Option(metavar="DIR", help="The benchmark as it is published, on this machine.")
]
Judges = Annotated[
    list[str],
    typer.Option(
        metavar="JUDGE", help=f"Measure: {JUDGES}. Several: each is compared with the first."
    ),
]
Out = Annotated[
    Path,
    typer.Option(
        metavar="DIR",
        help="Gets report.json, report.md and each judge's rows; go on with a killed run there.",
    ),
]
Resized = Annotated[
    bool,
    typer.Option(
        "--resize-to-source",
        help="Bring edited pictures to the size of their source first, as EditScore does.",
    ),
]


@app.command()
def mer_bench(
    folder: Folder, judge: Judges, out: Out, protocol: ProtocolName = None, resized: Resized = False
) -> None:
    """MER-Bench: order two to four edits of one task. Figures: exact order, Kendall, NDCG, ...

    The folder holds data/2pair-*.parquet, 3pair and 4pair, or 2pair.json and so on with pictures.

    Example: spatialreward benchmark mer-bench --folder MER-Bench --judge pixels --out mer-pixels
    """

    def read(folder: Path) -> "Benchmark":
        from spatialreward.benchmarks.mer_bench import MerBench

        return MerBench.read(folder)

    _measure(read, folder, judge, out, protocol, resized)


@app.command()
def editreward_bench(
    folder: Folder, judge: Judges, out: Out, protocol: ProtocolName = None, resized: Resized = False
) -> None:
    """EditReward-Bench of EditScore: which of two edits is better, on three dimensions.

    Not TIGER-Lab's benchmark of the same name. The folder holds the hub's Arrow or Parquet files,
    or bench.jsonl with pictures.

    Example: spatialreward benchmark editreward-bench --folder DIR --judge pixels --out erb-pixels
    """

    def read(folder: Path) -> "Benchmark":
        from spatialreward.benchmarks.editreward_bench import EditRewardBench

        return EditRewardBench.read(folder)

    _measure(read, folder, judge, out, protocol, resized)


@app.command()
def tiger_editreward_bench(
    folder: Folder, judge: Judges, out: Out, protocol: ProtocolName = None, resized: Resized = False
) -> None:
    """EditReward-Bench of TIGER-Lab: order two to four edits of one task, with ties in pairs.

    Not EditScore's benchmark of the same name. The folder holds the hub's 2pair/, 3pair/ and 4pair/
    with Parquet files.

    Example: spatialreward benchmark tiger-editreward-bench --folder DIR --judge pixels --out tiger
    """

    def read(folder: Path) -> "Benchmark":
        from spatialreward.benchmarks.tiger_bench import TigerBench

        return TigerBench.read(folder)

    _measure(read, folder, judge, out, protocol, resized)


@app.command()
def mmrb2(
    folder: Folder, judge: Judges, out: Out, protocol: ProtocolName = None, resized: Resized = False
) -> None:
    """Multimodal RewardBench 2, image editing: which of two edits is better, of 1 to 3 sources.

    The folder holds the hub's edit/test-*.parquet, or edit.json with pictures.

    Example: spatialreward benchmark mmrb2 --folder DIR --judge pixels --out mmrb2-pixels
    """

    def read(folder: Path) -> "Benchmark":
        from spatialreward.benchmarks.mmrb2 import Mmrb2

        return Mmrb2.read(folder)

    _measure(read, folder, judge, out, protocol, resized)


@app.command()
def vcreward_bench(
    folder: Folder, judge: Judges, out: Out, protocol: ProtocolName = None, resized: Resized = False
) -> None:
    """VCReward-Bench of GEditBench v2: which of two edits left the rest of the picture alone.

    The folder holds metadata.jsonl with pictures.

    Example: spatialreward benchmark vcreward-bench --folder DIR --judge pixels --out vcrb-pixels
    """

    def read(folder: Path) -> "Benchmark":
        from spatialreward.benchmarks.vcreward_bench import VcRewardBench

        return VcRewardBench.read(folder)

    _measure(read, folder, judge, out, protocol, resized)


app.command()(trust)
app.command()(attention)


def _measure(
    read: "Callable[[Path], Benchmark]",
    folder: Path,
    judges: list[str],
    out: Path,
    protocol: str | None,
    resized: bool,
) -> None:
    from spatialreward.benchmarks.results import report_on, write_report
    from spatialreward.benchmarks.run import judge_benchmark
    from spatialreward.judges.load import load_judge

    benchmark = read(folder)
    runs = []
    for number, name in enumerate(judges, start=1):
        with load_judge(name, protocol=protocol) as judging:
            if judging.notice:
                typer.echo(f"note: {judging.notice}", err=True)
            place = out / f"judge-{number}"
            runs.append(judge_benchmark(benchmark, judging, place, resize_to_source=resized))
    report = report_on(benchmark, runs)
    write_report(report, out)
    _print(report)
    typer.echo(f"written to {out / 'report.json'} and {out / 'report.md'}")


def _print(report: "BenchmarkReport") -> None:
    from spatialreward.benchmarks.results import failed_in_words
    from spatialreward.figures import figures_console

    console = figures_console()
    typer.echo(f"{report.title}: {report.num_items:,} rows of {report.num_prompts:,} prompts")
    typer.echo(f"reference rules: {report.reference_rules}")
    typer.echo(f"our rules: {report.our_rules}")
    for result in report.judges:
        typer.echo(f"\n{result.judge}: {failed_in_words(result)}")
        console.print(_table_of(result))
    for comparison in report.comparisons:
        typer.echo(f"\n{comparison.second} minus {comparison.first}, ours")
        console.print(_table_comparing(comparison))
    if report.left_out:
        where, reason = report.left_out[0]
        typer.echo(f"left out: {len(report.left_out):,}, the first: {where}: {reason}", err=True)


def _table_of(result: "JudgeResult") -> "Table":
    from rich.table import Table
    from rich.text import Text

    from spatialreward.benchmarks.results import shown, shown_interval

    table = Table(show_edge=False, pad_edge=False)
    table.add_column("figure", no_wrap=True)
    for heading in ("reference rules", "ours", "95 % interval", "rows"):
        table.add_column(heading, justify="right")
    for row in result.metrics:
        num_rows = "" if row.num_rows is None else f"{row.num_rows:,}"
        ours = Text(shown(row.ours), "bold")
        table.add_row(row.name, shown(row.reference), ours, shown_interval(row.interval), num_rows)
    return table


def _table_comparing(comparison: "Comparison") -> "Table":
    from rich.table import Table
    from rich.text import Text

    from spatialreward.benchmarks.results import shown, shown_interval

    table = Table(show_edge=False, pad_edge=False)
    table.add_column("figure", no_wrap=True)
    for heading in ("difference", "95 % interval", "p", "prompts"):
        table.add_column(heading, justify="right")
    for row in comparison.rows:
        cells = (shown_interval(row.interval), f"{row.p_value:.4f}", f"{row.num_prompts:,}")
        table.add_row(row.name, Text(shown(row.difference), "bold"), *cells)
    return table
