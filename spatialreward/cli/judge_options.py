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
    typer.Option(metavar="DIR", help="Merge this LoRA into the model's weights first."),
]
ProtocolName = Annotated[
    str | None,
    typer.Option(
        metavar="full|tiny|FILE",
        show_default="full",
        help="How to ask a model that has no protocol.json of its own; full-reasoning, "
        "full-scores, tiny-reasoning and tiny-scores ask for less.",
    ),
]
Passes = Annotated[
    int,
    typer.Option(
        min=1,
        help="Judge each edit so often from drawn answers and take the mean; costs as many times "
        "as much.",
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
