"""``python -m serving.bench.editors``: our editors against the published ones.

OmniGen2 is compared with stored tensors, the others with diffusers' own pipelines in this run.
"""

from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated

import typer

from spatialreward.cli.command import CommandGroup, configure_logging

if TYPE_CHECKING:
    from spatialreward.figures import Figure

_TENSORS = Path("../shared/data")

app = typer.Typer(cls=CommandGroup, pretty_exceptions_enable=False)


@app.callback(invoke_without_command=True)
def main(
    tensors: Annotated[
        Path, typer.Option(metavar="DIR", help="Folder of omnigen2_parity, the published tensors.")
    ] = _TENSORS,
) -> None:
    """Compare, print a table and write build/figures/editors.json; some minutes."""
    configure_logging()
    from serving.bench.stock_pipelines import SEED
    from spatialreward.figures import figures_console, figures_table, write_figures

    figures = measure(tensors)
    figures_console().print(figures_table("editors beside the published ones", figures))
    typer.echo(f"written to {write_figures('editors', figures, seeds={'noise': SEED})}")
    if not all(one.reached for one in figures):
        raise typer.Exit(1)


def measure(tensors: Path) -> "list[Figure]":
    """Largest differences between corresponding values, each with its tolerance as target.

    Raises:
        InvalidInputError: tensors are missing.
    """
    return [figure for compare in _COMPARED for figure in compare(tensors)]


def _omnigen2(tensors: Path) -> "list[Figure]":
    from serving.bench.omnigen2_parity import compare
    from spatialreward.figures import Figure

    return [
        Figure.at_most(f"parity/omnigen2/{one.name}", one.difference, one.allowed)
        for one in compare(tensors / "omnigen2_parity")
    ]


def _on_diffusers(tensors: Path) -> "list[Figure]":
    from serving.bench.stock_pipelines import parity_figures

    with TemporaryDirectory() as folder:
        return parity_figures(Path(folder))


_COMPARED: tuple[Callable[[Path], "list[Figure]"], ...] = (_omnigen2, _on_diffusers)
"""Of OmniGen2, and of the editors that diffusers has pipelines for."""

if __name__ == "__main__":
    app()
