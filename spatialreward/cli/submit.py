"""``spatialreward submit``: from a profile to a run on Kubeflow Pipelines."""

import datetime
import secrets
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from spatialreward.cli.connection import Connection, connected
from spatialreward.cli.following import Poll, follow_to_end, show_links
from spatialreward.cli.setting_options import changes_of
from spatialreward.errors import InvalidInputError
from spatialreward.figures import commit
from spatialreward.ops.kubeflow import (
    Package,
    Request,
    parse_parameters,
    publish,
    read_package,
    start,
    steps_of,
)
from spatialreward.ops.kubeflow import schedule as make_schedule
from spatialreward.ops.kubeflow.compiling import compile_profile
from spatialreward.ops.kubeflow.links import schedule_link
from spatialreward.ops.kubeflow.states import printable
from spatialreward.ops.kubeflow.triggers import trigger_of

if TYPE_CHECKING:
    from spatialreward.ops.kubeflow.client import RecurringRun


@connected
def submit(
    connection: Connection,
    profile: Annotated[
        str | None, typer.Option(help="A profile: tiny, one-gpu, paper, or a TOML file.")
    ] = None,
    pipeline: Annotated[
        Literal["full", "data", "judge", "editor"],
        typer.Option(help="The whole of it, or one part."),
    ] = "full",
    data: Annotated[
        str, typer.Option(metavar="REF", help="Data to train a judge on, for --pipeline judge.")
    ] = "",
    heldout: Annotated[
        str, typer.Option(metavar="REF", help="Labelled edits to measure it on, for the same.")
    ] = "",
    drawn: Annotated[
        str, typer.Option(metavar="REF", help="Edits that an editor drew, to train on, too.")
    ] = "",
    editor: Annotated[
        str, typer.Option(metavar="S3_REF", help="Editor of kind tiny to fine-tune.")
    ] = "",
    package: Annotated[
        Path | None,
        typer.Option(metavar="FILE.yaml", help="A pipeline compiled before, instead of a profile."),
    ] = None,
    overrides: Annotated[list[str] | None, changes_of("the profile", "rl.num_steps=3")] = None,
    params: Annotated[
        list[str] | None,
        typer.Option(
            "--param", metavar="NAME=VALUE", help="A parameter of the run; may be repeated."
        ),
    ] = None,
    images_lock: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Digests of the images, written by `make push`. Default: images.lock, if there.",
        ),
    ] = None,
    registry: Annotated[
        str,
        typer.Option(
            metavar="PREFIX",
            envvar="SPATIALREWARD_REGISTRY",
            help="Pull images from here by tag; a lock has addresses of its own.",
        ),
    ] = "",
    experiment: Annotated[str, typer.Option(help="What the run is found under.")] = "spatialreward",
    run_name: Annotated[
        str | None, typer.Option(help="Default: the pipeline's name, the time and a few letters.")
    ] = None,
    service_account: Annotated[
        str, typer.Option(help="Of the steps' pods. Default: the server's.")
    ] = "",
    schedule: Annotated[
        str | None,
        typer.Option(
            metavar="CRON", help="Start runs at these times of the server, such as '0 3 * * 1'."
        ),
    ] = None,
    every: Annotated[
        str | None,
        typer.Option(metavar="INTERVAL", help="Start runs at this interval, such as 6h or 7d."),
    ] = None,
    follow: Annotated[bool, typer.Option(help="Follow the run to its end.")] = True,
    poll: Poll = 5.0,
) -> None:
    """Compile a profile, publish it as a version of its pipeline, and start or schedule a run.

    The same content is uploaded once. Exit status 0: succeeded, or started and not
    followed; 3: the run failed; 4: it was canceled. Ctrl-C ends the watching, not the run.

    Example: spatialreward submit --profile tiny --set rl.num_steps=3
    """
    client, trigger = connection.client(), trigger_of(schedule, every)
    given = {"data": data, "heldout": heldout, "drawn": drawn, "editor": editor}
    if package is None:
        if profile is None:
            raise InvalidInputError("expected --profile NAME or --package FILE.yaml")
        changes = overrides or []
        compiled = compile_profile(
            profile, changes, images_lock, registry, pipeline=pipeline, given=given
        )
    elif profile is not None or pipeline != "full" or overrides or images_lock is not None:
        raise InvalidInputError(
            f"--package {package} is compiled already: "
            "--profile, --pipeline, --set and --images-lock have no effect on it"
        )
    else:
        compiled = read_package(package)
    references = [f"{name}={reference}" for name, reference in given.items() if reference]
    request = Request(
        run_name=run_name or _usual_name(compiled),
        experiment=experiment,
        parameters=parse_parameters(compiled, [*references, *(params or [])]),
        service_account=service_account,
        note=_note(profile),
    )
    client.check()
    version, was_there = publish(client, compiled, request.note)
    typer.echo(
        f"pipeline {compiled.name}, version {compiled.version_name}: "
        f"{'published before' if was_there else 'published'}"
    )
    if trigger is not None:
        _show_schedule(connection, make_schedule(client, version, request, trigger))
        return
    run = start(client, version, request)
    typer.echo(f"run {request.run_name}: started, {run.run_id}")
    show_links(connection, run)
    if follow:
        follow_to_end(connection, client, run.run_id, steps_of(compiled.spec), poll)
    else:
        typer.echo(f"follow it: {connection.command(f'runs follow {run.run_id}')}")


def _show_schedule(connection: Connection, made: "RecurringRun") -> None:
    from spatialreward.cli.run_view import times_of

    schedule_id = made.recurring_run_id
    typer.echo(f"schedule {printable(made.display_name)}: {times_of(made)}, {schedule_id}")
    typer.echo(f"Kubeflow Pipelines: {schedule_link(connection.server, made)}")
    typer.echo(f"remove it: {connection.command(f'runs unschedule {schedule_id}')}")


def _usual_name(package: Package) -> str:
    now = datetime.datetime.now(datetime.UTC)
    return f"{package.name} {now:%Y-%m-%d %H:%M:%S} {secrets.token_hex(3)}"


def _note(profile: str | None) -> str:
    said = {"profile": profile, "commit": commit() if profile else ""}
    return ", ".join(f"{name} {value}" for name, value in said.items() if value)
