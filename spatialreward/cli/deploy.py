"""``spatialreward deploy``: which judge a Triton server serves."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from spatialreward.cli.command import UsualCommand, sigterm_as_exit
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
from spatialreward.errors import SpatialRewardError

if TYPE_CHECKING:
    from spatialreward.ops.deployer.overview import Overview

app = typer.Typer(
    cls=UsualCommand,
    no_args_is_help=True,
    help="Serve a judge with Triton: a version now, or the champion from now on.\n\n"
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
            help="Versions to keep on disk, the served one among them; a kept one is served again "
            "without a copy.",
        ),
    ] = 3,
) -> None:
    """Serve a checkpoint, without losing a request.

    Its checksum is compared, and a copy is loaded as NAME-staging and asked the smoke edits. Only
    then does the server switch to it; the old version is retired after its last request. Whatever
    goes wrong, Ctrl-C too, the version that was served before is still served. Triton's number of
    a registered version is the registry's.

    To go back, deploy an earlier version: `spatialreward demote judge`, then this command with
    models:/NAME@champion. A version that `spatialreward deploy list` shows as kept can be deployed
    as a folder, too: REPOSITORY/NAME/VERSION/checkpoint.

    For the local stack: eval "$(spatialreward stack env)" sets address, repository and key.

    Example: spatialreward deploy --model models:/spatial-reward@champion
    """
    filled = template or own_template()
    edits = edits_of(smoke_edits)
    from spatialreward.ops.deployment import deploy as serve
    from spatialreward.ops.deployment.source import fetch_checkpoint

    source = fetch_checkpoint(model)
    with sigterm_as_exit():
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


@app.command("list")
def list_(
    repository: Repository,
    name: Name = "judge",
    registered: Annotated[
        str,
        typer.Option(
            metavar="NAME", help="The registered model, where MLFLOW_TRACKING_URI is set."
        ),
    ] = "spatial-reward",
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
        bool, typer.Option("--json", help="Print all of it as one JSON object.")
    ] = False,
) -> None:
    """List a judge's versions: those at the server, and those in the registry with their aliases.

    Example: spatialreward deploy list --json
    """
    from spatialreward.ops.deployer.overview import Overview
    from spatialreward.ops.tracking import TrackingError

    silent = ""
    in_registry = registered if os.environ.get("MLFLOW_TRACKING_URI") else None
    try:
        overview = Overview.read(repository, name, in_registry)
    except TrackingError as error:
        silent = f"the registry is left out: {error}"
        overview = Overview.read(repository, name, None)
    if json_output:
        typer.echo(overview.model_dump_json())
    elif overview.versions:
        _print_table(overview)
    else:
        typer.echo(f"{name} has never been deployed in {repository}")
    if silent:
        typer.echo(" ".join(silent.split()), err=True)
    if endpoint is not None and not json_output:
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
    of it is the registry's, so answers name it: judge/7. The checksum is
    compared before and after it is copied. A second call replaces what the first one wrote.

    Example: spatialreward deploy serving-repository --model models:/spatial-reward/7 --out models
    """
    from spatialreward.ops.deployment.repository import write_repository

    filled = template or own_template()
    version = write_repository(model, out, template=filled, name=name)
    typer.echo(f"{out} serves {name}/{version}")


app.command()(check)
app.command()(watch)


def _print_table(overview: "Overview") -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(show_edge=False, pad_edge=False)
    for title in ("Version", "Here", "Deployed (UTC)", "sha256", "Source", "Registry"):
        table.add_column(title, overflow="fold")
    for one in overview.versions:
        said = ", ".join(one.aliases)
        table.add_row(
            str(one.version),
            Text(one.here, "bold green" if one.here == "served" else ""),
            f"{one.deployed_at:%Y-%m-%d %H:%M:%S}" if one.deployed_at else "",
            one.sha256[:12],
            Text(one.source),
            Text("; ".join(filter(None, [said, one.serving]))),
        )
    Console(highlight=False).print(table)


def _loaded(endpoint: str, key: str, name: str) -> str:
    from spatialreward.ops.deployment.server import Server

    try:
        ready = Server(endpoint, key).ready_versions(name)
    except SpatialRewardError as error:
        return str(error)
    versions = ", ".join(map(str, ready)) or "none"
    return f"loaded at {endpoint}: {versions}"
