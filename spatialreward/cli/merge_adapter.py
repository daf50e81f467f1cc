"""``spatialreward train merge-adapter``: a LoRA and its base as one checkpoint."""

from pathlib import Path
from typing import Annotated

import typer

from spatialreward.errors import InvalidInputError


def merge_adapter(
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
    """Write a checkpoint with a LoRA merged into its weights, to be deployed or run by vLLM.

    The product is added in 32 bits and stored in as many as the base has. The base's card is kept;
    protocol file and scalar head are the adapter's, if it has some, else the base's.

    Example: spatialreward train merge-adapter --model base --adapter lora --out merged
    """
    if out.exists():
        raise InvalidInputError(f"--out {out}: is there already")
    from spatialreward.judges.load import fetch
    from spatialreward.judges.qwen_vl import merging
    from spatialreward.judges.qwen_vl.adapter import check_adapter

    check_adapter(adapter, model)
    merging.merge_adapter(fetch(model).folder, adapter, out)
    typer.echo(f"{model} with {adapter} merged is in {out}")
