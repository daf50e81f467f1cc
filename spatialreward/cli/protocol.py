"""``spatialreward protocol``: the prompts that a checkpoint is judged with."""

from pathlib import Path
from typing import Annotated

import typer

from spatialreward.errors import InvalidInputError
from spatialreward.protocol.importing import SOURCE_FILE, import_protocol

app = typer.Typer(
    no_args_is_help=True,
    help="Protocol files: the prompts that a checkpoint was trained with.",
)


@app.callback()
def protocol() -> None:
    """Keep ``import`` a command of its own, although it is the only one."""


@app.command("import")
def import_(
    checkout: Annotated[
        Path,
        typer.Argument(
            metavar="CHECKOUT", help=f"Folder of the public reference code, with {SOURCE_FILE}."
        ),
    ],
    out: Annotated[Path, typer.Option(metavar="FILE", help="The protocol file; must not exist.")],
    name: Annotated[str, typer.Option(help="The protocol's name.")] = "reference",
) -> None:
    """Make a protocol file of the prompts in a checkout of the public reference code.

    A published checkpoint knows these prompts and no others. The code is read, not run. Judge with
    `spatialreward judge --model ... --protocol FILE`, or put the file beside the weights as
    protocol.json.

    Example: spatialreward protocol import ../SpatialReward --out reference.json
    """
    if out.exists():
        raise InvalidInputError(f"--out {out}: is there already")
    made = import_protocol(checkout, name=name)
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_text(made.model_dump_json(indent=2) + "\n")
    except OSError as error:
        raise InvalidInputError(f"--out {out}: {error.strerror}") from error
    typer.echo(f"protocol {made.name} is in {out}")
