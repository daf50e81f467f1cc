"""``python -m components.data_building.bench``: figures of data building beside its baselines."""

import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from spatialreward.cli.command import SingleCommand, configure_logging

if TYPE_CHECKING:
    from components.data_building.bench.throughput import Pair
    from spatialreward.figures import Figure

    Pairs = dict[str, list[Pair]]

_FOLDER = Path("build/bench-data")

app = typer.Typer(pretty_exceptions_enable=False)


@app.command(cls=SingleCommand)
def measure(
    world_edits: Annotated[int, typer.Option(min=1, help="Generated edits to find regions in.")] = (
        500
    ),
    edits: Annotated[int, typer.Option(min=1, help="Edits a worker prepares in a round.")] = 40,
    rounds: Annotated[int, typer.Option(min=1, help="Rounds, of which the medians count.")] = 9,
    loader_edits: Annotated[int, typer.Option(min=100, help="Rows of the loader's data set.")] = (
        260_000
    ),
) -> None:
    """Measure region proposal, throughput and the loader, and write build/figures/data.json.

    About 10 minutes on two cores.
    """
    from components.data_building.bench import loader, regions, throughput
    from spatialreward.figures import write_figures

    configure_logging()
    shutil.rmtree(_FOLDER, ignore_errors=True)
    _FOLDER.mkdir(parents=True)
    real = regions.measure_real_edits()
    if real.notice:
        typer.echo(f"real edits: not measured: {real.notice}", err=True)
    figures: list[Figure] = [*real.figures, *regions.measure_reframed()]
    figures += regions.measure_world(world_edits)
    speeds = throughput.measure_throughput(_FOLDER / "throughput", count=edits, rounds=rounds)
    figures += speeds.figures
    figures += loader.loader_figures(_FOLDER / "loader", num_edits=loader_edits)
    columns = regions.more_baselines(real.rows)
    path = write_figures(
        "data",
        figures,
        seeds={
            "world": regions.WORLD_SEED,
            "throughput": throughput.SEED,
            "loader": loader.SEED,
        },
        more={"baselines": columns, "pairs": _as_json(speeds.pairs)},
    )
    _print(figures, columns, speeds.pairs)
    if (sheet := regions.draw_real_edits()) is not None:
        sheet.save(_FOLDER / "real-edits.png")
        typer.echo(f"the real edits, drawn: {_FOLDER / 'real-edits.png'}")
    typer.echo(f"written to {path}")


def _as_json(pairs: "Pairs") -> dict[str, list[dict[str, float]]]:
    """The pairs, as in the file."""
    return {
        name: [pair._asdict() | {"ratio": pair.ratio} for pair in of_one]
        for name, of_one in pairs.items()
    }


def _print(figures: "list[Figure]", columns: dict[str, dict[str, float]], pairs: "Pairs") -> None:
    from spatialreward.figures import figures_console, figures_table

    figures_console().print(figures_table("data building", figures, columns))
    for name, of_one in pairs.items():
        typer.echo(f"{name}, pair by pair: {', '.join(f'{pair.ratio:.2f}' for pair in of_one)}")


if __name__ == "__main__":
    app()
