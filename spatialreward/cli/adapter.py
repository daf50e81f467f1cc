"""``spatialreward adapter``: LoRA adapters of judges."""

from pathlib import Path
from typing import Annotated

import typer

from spatialreward.errors import InvalidInputError

app = typer.Typer(no_args_is_help=True, help="LoRA adapters of judges.")


@app.callback()
def adapter() -> None:
    """Keep ``merge`` a command of its own, although it is the only one."""


@app.command()
def merge(
    model: Annotated[
        str,
        typer.Option(
            metavar="MODEL",
            help="The base: a folder, hub:OWNER/NAME@REVISION, models:/NAME@ALIAS or "
            "models:/NAME/VERSION.",
        ),
    ],
    adapter: Annotated[Path, typer.Option(metavar="DIR", help="The LoRA, as peft saves it.")],
    out: Annotated[Path, typer.Option(metavar="DIR", help="The new folder; must not exist.")],
) -> None:
    """Write a checkpoint with an adapter merged into its weights, to be deployed or run by vLLM.

    The product is added in 32 bits and stored in as many as the base has. Card and protocol file
    of the base are kept.
    """
    if out.exists():
        raise InvalidInputError(f"--out {out}: is there already")
    from spatialreward.judges.load import fetch
    from spatialreward.judges.qwen_vl.adapter import check_adapter
    from spatialreward.judges.qwen_vl.merging import merge_adapter

    check_adapter(adapter, model)
    merge_adapter(fetch(model).folder, adapter, out)
    typer.echo(f"{model} with {adapter} merged is in {out}")
