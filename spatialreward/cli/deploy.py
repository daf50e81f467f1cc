"""``spatialreward deploy``, ``rollback``, ``deployments``: which judge a Triton server serves."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

import spatialreward
from spatialreward.cli.edits import read_requests
from spatialreward.errors import InvalidInputError, SpatialRewardError

if TYPE_CHECKING:
    from spatialreward.edits import Edit
    from spatialreward.ops.deployment import Deployment, History

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


def deploy(
    model: Checkpoint,
    endpoint: Endpoint,
    repository: Repository,
    repository_key: RepositoryKey = "",
    name: Name = "judge",
    template: Template = None,
    smoke_edits: SmokeEdits = None,
    keep: Annotated[
        int,
        typer.Option(
            min=1,
            help="Versions to keep on disk. The served one and the one that a rollback returns to "
            "are kept in any case.",
        ),
    ] = 3,
) -> None:
    """Serve a checkpoint as the next version of a judge, without losing a request.

    Its checksum is compared, and a copy is loaded as NAME-staging and asked the smoke edits. Only
    then does the server switch to it; the old version is retired after its last request. Whatever
    goes wrong, Ctrl-C too, what was served before is served still.

    For the local stack: eval "$(spatialreward stack env)" sets address, repository and key.
    """
    filled = template or own_template()
    edits = edits_of(smoke_edits)
    from spatialreward.ops.deployment import deploy as serve
    from spatialreward.ops.deployment.source import fetch_checkpoint

    source = fetch_checkpoint(model)
    version = serve(
        source.checkpoint,
        template=filled,
        repository=repository,
        endpoint=endpoint,
        key=repository_key,
        model=name,
        source=source.name,
        smoke_edits=edits,
        keep=keep,
    )
    typer.echo(f"{name} version {version} is served at {endpoint}: {source.name}")


def rollback(
    endpoint: Endpoint,
    repository: Repository,
    repository_key: RepositoryKey = "",
    name: Name = "judge",
    smoke_edits: SmokeEdits = None,
) -> None:
    """Serve the last good version before this one again, without losing a request.

    Its checksum is compared first. The version that is left is withdrawn: a further rollback goes
    further back. To return to a withdrawn version, deploy its model again.

    This turns one Triton server back and leaves the registry as it is. Where a deployer follows the
    registry, use `spatialreward demote judge`: it would undo a rollback, since the champion is
    still the champion.
    """
    edits = edits_of(smoke_edits)
    from spatialreward.ops.deployment import rollback as go_back

    version = go_back(
        repository=repository,
        endpoint=endpoint,
        key=repository_key,
        model=name,
        smoke_edits=edits,
    )
    typer.echo(f"{name} version {version} is served at {endpoint}")


def deployments(
    repository: Repository,
    name: Name = "judge",
    endpoint: Annotated[
        str | None,
        typer.Option(
            metavar="HOST:PORT",
            envvar="TRITON_GRPC_URL",
            help="Also ask this server what it has loaded.",
        ),
    ] = None,
    repository_key: RepositoryKey = "",
    json_output: Annotated[
        bool, typer.Option("--json", help="Print the history as one JSON object.")
    ] = False,
) -> None:
    """List the versions of a served judge: state, time, checksum, and where each came from."""
    from spatialreward.ops.deployment import History
    from spatialreward.ops.deployment.folder import ModelFolder

    history = History.read(ModelFolder(repository, name).home)
    if json_output:
        typer.echo(history.model_dump_json())
        return
    if history.versions:
        _print_table(history)
    else:
        typer.echo(f"{name} has never been deployed in {repository}")
    if endpoint is not None:
        typer.echo(_loaded(endpoint, repository_key, name))


def _print_table(history: "History") -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(show_edge=False, pad_edge=False)
    for title in ("Version", "State", "Deployed (UTC)", "sha256", "Source"):
        table.add_column(title, overflow="fold")
    for one in reversed(history.versions):
        served = one.version == history.served
        table.add_row(
            str(one.version),
            Text("served" if served else str(one.state), "bold green" if served else ""),
            f"{one.deployed_at:%Y-%m-%d %H:%M:%S}",
            one.sha256[:12],
            Text(_origin(one)),
        )
    Console(highlight=False).print(table)


def _origin(one: "Deployment") -> str:
    reason = " ".join(one.reason.split())
    return f"{one.source}: {reason}" if reason else one.source


def _loaded(endpoint: str, key: str, name: str) -> str:
    from spatialreward.ops.deployment.server import Server

    try:
        ready = Server(endpoint, key).ready_versions(name)
    except SpatialRewardError as error:
        return str(error)
    versions = ", ".join(map(str, ready)) or "none"
    return f"loaded at {endpoint}: {versions}"


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
