"""``python -m serving.bench``: figures of the served judge, each with its baseline."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from spatialreward.cli.command import CommandGroup, configure_logging

if TYPE_CHECKING:
    from serving.bench.prefix import Variant
    from spatialreward.figures import Figure

SEED = 4
_FOLDER = Path("build/bench-serving")
_GROUPS = 12

app = typer.Typer(
    cls=CommandGroup,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Measure the served judge: speed beside the reference design, prefix sharing, load.",
)
JudgeFolder = Annotated[
    Path | None,
    typer.Option(
        "--judge", metavar="DIR", help="Checkpoint to serve. Without it a tiny one is trained."
    ),
]


@app.callback()
def configure(
    verbose: Annotated[bool, typer.Option(help="Log every detail to standard error.")] = False,
) -> None:
    """Set up logging for the command that follows."""
    configure_logging(verbose=verbose)


@app.command("all")
def measure_all(
    judge: JudgeFolder = None,
    clients: Annotated[
        int,
        typer.Option(
            help="Groups of 12 asked for at the same time, beside the reference; "
            "its RL example has 12 prompts a step."
        ),
    ] = 12,
    rounds: Annotated[int, typer.Option(help="Rounds of each server, taken in turn.")] = 3,
    round_seconds: Annotated[float, typer.Option(help="Length of a round.")] = 40.0,
    load_clients: Annotated[int, typer.Option(help="Clients of the mixed load.")] = 8,
    load_minutes: Annotated[float, typer.Option(help="Length of the mixed load.")] = 10.0,
) -> None:
    """Measure everything on one machine; writes build/figures/serving.json. About 20 minutes."""
    from serving.bench.judge import bench_judge
    from serving.bench.load import expected_answers, mixed_load
    from serving.bench.prefix import sharing_figures, variants
    from serving.bench.throughput import (
        GROUP_SIZE,
        beside_reference,
        decoding_figure,
        overhead_figure,
        throughput_figures,
    )
    from serving.bench.triton import served_judge
    from serving.bench.workload import groups
    from spatialreward.judges.engines.engine import Judge

    _FOLDER.mkdir(parents=True, exist_ok=True)
    checkpoint = judge or bench_judge(_FOLDER)
    work = groups(_GROUPS, GROUP_SIZE, seed=SEED)
    figures = sharing_figures(checkpoint, work)
    ways = variants(checkpoint, work, rounds)
    pool = expected_answers(checkpoint, work, seed=SEED)
    with served_judge(checkpoint, _FOLDER / "stack") as served:
        figures.append(overhead_figure(served, Judge.load(checkpoint), work, 10 * rounds))
        reference, triton = beside_reference(
            served,
            checkpoint,
            work,
            clients=clients,
            rounds=rounds,
            seconds=round_seconds,
            folder=_FOLDER,
        )
        figures += [*throughput_figures(reference, triton), decoding_figure(served)]
        figures += mixed_load(
            served, pool, clients=load_clients, seconds=60 * load_minutes, seed=SEED
        )
    _report(figures, ways)


@app.command()
def gpu(
    size: Annotated[str, typer.Option(help="2b or 4b, or tiny to try the command.")] = "2b",
    batches: Annotated[int, typer.Option(help="Batches to judge.")] = 5,
    groups_per_batch: Annotated[int, typer.Option(help="Groups of 12 edits a batch.")] = 4,
    side: Annotated[int, typer.Option(help="Side of the square pictures in pixels.")] = 512,
) -> None:
    """Measure a large random judge on this machine's GPU, with and without shared prefixes."""
    from serving.bench.large import measure_large

    figures = measure_large(size, batches=batches, groups_per_batch=groups_per_batch, side=side)
    _print(figures, [], "serving a large judge")


def _report(figures: "list[Figure]", ways: "list[Variant]") -> None:
    from spatialreward.figures import write_figures

    path = write_figures(
        "serving",
        figures,
        seeds={"workload": SEED},
        more={"ms_per_judgement": {one.name: one.ms_per_judgement for one in ways}},
    )
    _print(figures, ways, "serving")
    typer.echo(f"written to {path}")


def _print(figures: "list[Figure]", ways: "list[Variant]", title: str) -> None:
    from rich.table import Table

    from spatialreward.figures import figures_console, figures_table

    console = figures_console()
    console.print(figures_table(title, figures))
    if ways:
        table = Table(title="what makes it fast", title_justify="left", show_edge=False)
        table.add_column("the engine alone")
        table.add_column("ms a judgement", justify="right")
        for way in ways:
            table.add_row(way.name, f"{way.ms_per_judgement:.1f}")
        console.print(table)


if __name__ == "__main__":
    app()
