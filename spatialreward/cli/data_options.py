"""How every command names labelled edits, and makes the folder that it writes to."""

from pathlib import Path
from typing import Annotated

import typer

from spatialreward.errors import InvalidInputError

LabelledEdits = Annotated[
    str,
    typer.Option(
        metavar="DATASET",
        help="Edits with labels: a folder, s3://BUCKET/PREFIX#sha256=HEX or "
        "hub:OWNER/NAME@REVISION.",
    ),
]


def make_out(folder: Path) -> None:
    """Make the folder of ``--out`` unless it is there.

    Raises:
        InvalidInputError: it cannot be made.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InvalidInputError(f"--out {folder}: {error.strerror}") from error
