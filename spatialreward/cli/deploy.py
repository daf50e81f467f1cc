"""``spatialreward deploy``: which judge a Triton server serves."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from spatialreward.cli.command import UsualCommand
from spatialreward.cli.deploy_check import check
from spatialreward.cli.deploy_options import (
    Checkpoint,
    Endpoint,
    Name,
    Repository,
    RepositoryKey,
    SmokeEdits,
    Template,
    edits_of,
    own_template,
)
from spatialreward.cli.watch import watch
from spatialreward.cli.webhook import webhook
from spatialreward.errors import SpatialRewardError

if TYPE_CHECKING:
    from spatialreward.ops.deployment import Deployment, History

app = typer.Typer(
    cls=UsualCommand,
    no_args_is_help=True,
    help="Serve a judge with Triton: a version now, the champion from now on, the one before.\n\n"
    "`run` may be left out: spatialreward deploy --model models:/spatial-reward@champion",
)


@app.command()
def run(
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

    Example: spatialreward deploy --model models:/spatial-reward@champion
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


@app.command()
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

    Example: spatialreward deploy rollback
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


@app.command("list")
def list_(
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
    """List the versions of a served judge: state, time, checksum, and where each came from.

    Example: spatialreward deploy list --json
    """
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


@app.command()
def serving_repository(
    model: Checkpoint,
    out: Annotated[Path, typer.Option(metavar="DIR", help="The repository; made if need be.")],
    template: Template = None,
    name: Name = "judge",
) -> None:
    """Write a Triton model repository with one version of a judge, and nothing else in it.

    For a server that serves this version for as long as it lives, such as a pod's. Triton's number
    of it is the registry's, so whoever asks sees which version answers: judge/7. The checksum is
    compared before and after it is copied. Done again, it is made anew.

    Example: spatialreward deploy serving-repository --model models:/spatial-reward/7 --out models
    """
    from spatialreward.ops.deployment.repository import write_repository

    filled = template or own_template()
    version = write_repository(model, out, template=filled, name=name)
    typer.echo(f"{out} serves {name}/{version}")


app.command()(check)
app.command()(watch)
app.command()(webhook)


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
