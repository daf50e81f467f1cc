"""Options that the commands of ``spatialreward deploy`` share, and what they stand for."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

import spatialreward
from spatialreward.cli.edits import read_requests
from spatialreward.errors import InvalidInputError

if TYPE_CHECKING:
    from spatialreward.edits import Edit

ENDPOINT = typer.Option(
    metavar="HOST:PORT", envvar="TRITON_GRPC_URL", help="Triton's gRPC address."
)
REPOSITORY = typer.Option(
    metavar="DIR",
    envvar="TRITON_MODEL_REPOSITORY",
    help="The server's model repository, as this machine sees it.",
)
REPOSITORY_KEY = typer.Option(
    metavar="KEY",
    envvar="TRITON_REPOSITORY_KEY",
    show_default=False,
    help="What the server asks of those who load models. Better in the environment: a command line "
    "can be read by others.",
)
Endpoint = Annotated[str, ENDPOINT]
RepositoryKey = Annotated[str, REPOSITORY_KEY]
Repository = Annotated[Path, REPOSITORY]
Checkpoint = Annotated[
    str,
    typer.Option(
        metavar="MODEL",
        help="The checkpoint to serve: models:/NAME@ALIAS, models:/NAME/VERSION, "
        "hub:OWNER/NAME@REVISION or a folder.",
    ),
]
Template = Annotated[
    Path | None,
    typer.Option(
        metavar="DIR",
        envvar="SPATIALREWARD_JUDGE_TEMPLATE",
        help="Triton model to fill in: config.pbtxt and 1/model.py. Default: the judge's own.",
    ),
]
Name = Annotated[str, typer.Option(metavar="NAME", help="The model's name on the server.")]
SmokeEdits = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE.jsonl",
        help="Edits that the version must judge before it is served, in the format of "
        "`spatialreward judge --edits`. Default: a blank picture, which must be answered.",
    ),
]


def edits_of(path: Path | None) -> "dict[str, Edit]":
    """The edits of a file by id, with their pictures; none where no file was given.

    Raises:
        InvalidInputError: one of them cannot be read.
    """
    return {} if path is None else {one.id: one.load() for one in read_requests(path)}


def own_template() -> Path:
    """The Triton model of the judge that is installed beside the library.

    Raises:
        InvalidInputError: there is none, as in an image without it.
    """
    template = Path(spatialreward.__file__).parents[1] / "serving" / "judge"
    if not template.is_dir():
        raise InvalidInputError(
            f"{template}: there is no such folder, name the Triton model to fill in with --template"
        )
    return template
