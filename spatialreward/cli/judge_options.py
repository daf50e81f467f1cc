"""How every command names a judge: the options that ``load_judge`` takes."""

from pathlib import Path
from typing import Annotated

import typer

from spatialreward.records import JudgeMode

JUDGES = (
    "a folder, hub:OWNER/NAME@REVISION, models:/NAME@ALIAS, models:/NAME/VERSION, "
    "triton:HOST:PORT, openai:MODEL@https://HOST/v1, pixels, which needs no model, or oracle, "
    "which knows the truth about edits of the generated world"
)

AdapterFolder = Annotated[
    Path | None,
    typer.Option(metavar="DIR", help="Merge this LoRA into the model's weights in memory."),
]
ProtocolName = Annotated[
    str | None,
    typer.Option(
        metavar="full|tiny|FILE",
        show_default="full",
        help="Prompts for a model without a protocol.json of its own: full for real pictures, "
        "tiny for the generated world; NAME-reasoning asks for no regions, NAME-scores for scores "
        "alone.",
    ),
]
Passes = Annotated[
    int,
    typer.Option(
        min=1,
        help="Judge each edit this many times, with sampled answers, and average; the cost grows "
        "as many times.",
    ),
]
Mode = Annotated[
    JudgeMode | None,
    typer.Option(
        metavar="reason|scalar",
        show_default="reason where the checkpoint can",
        help="Have a checkpoint write its answers, or read scores from its scalar head.",
    ),
]
