"""``spatialreward protocol``: the prompts that a checkpoint is judged with."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from spatialreward.errors import InvalidInputError
from spatialreward.protocol.importing import PublicJudge

if TYPE_CHECKING:
    from spatialreward.protocol.prompts import Protocol

app = typer.Typer(
    no_args_is_help=True,
    help="Protocol files: the prompts that a checkpoint was trained with, and what it can do.",
)


@app.command("import")
def import_(
    checkout: Annotated[
        Path,
        typer.Argument(metavar="CHECKOUT", help="Folder of the code that a judge came with."),
    ],
    out: Annotated[Path, typer.Option(metavar="FILE", help="The protocol file; must not exist.")],
    judge: Annotated[
        PublicJudge | None,
        typer.Option(
            help="Whose prompts; needed only where the code is that of several judges.",
            show_default="by the files that are there",
        ),
    ] = None,
    name: Annotated[
        str | None, typer.Option(help="The protocol's name.", show_default="the judge's")
    ] = None,
) -> None:
    """Make a protocol file of the prompts in a checkout of a public judge's code.

    A published checkpoint knows these prompts and no others. The code is read, not run. Judge with
    `spatialreward judge --model ... --protocol FILE`, or put the file beside the weights as
    protocol.json.

    Example: spatialreward protocol import ../EditScore --judge editscore-qwen3-vl --out es.json
    """
    if out.exists():
        raise InvalidInputError(f"--out {out}: is there already")
    from spatialreward.protocol.importing import import_protocol

    made = import_protocol(checkout, judge=judge, name=name)
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_text(made.model_dump_json(indent=2) + "\n")
    except OSError as error:
        raise InvalidInputError(f"--out {out}: {error.strerror}") from error
    typer.echo(f"protocol {made.name} is in {out}")


@app.command()
def show(
    protocol: Annotated[
        str, typer.Argument(metavar="full|tiny|FILE", help="The protocol, by name or file.")
    ],
) -> None:
    """Say what a judge that is asked by a protocol writes, and what it cannot do.

    Example: spatialreward protocol show full
    """
    from spatialreward.protocol.choice import named_protocol

    for field, value in _told(named_protocol(protocol)).items():
        typer.echo(f"{field:<18}{value}")


def _told(protocol: "Protocol") -> dict[str, str]:
    from spatialreward.records import Streams

    able = protocol.capabilities
    return {
        "protocol": protocol.reference,
        "answers": f"{protocol.format}, {protocol.answer}",
        "scale": str(protocol.scale),
        "reward": protocol.reward_of,
        "questions an edit": str(len(protocol.format.questions(Streams.BOTH))),
        "regions": "yes" if able.predicts_regions else "no",
        "source pictures": "any number" if able.max_sources is None else str(able.max_sources),
        "quality": "yes" if able.has_quality else "no",
    }
