"""``spatialreward submit``: from a profile to a run on Kubeflow Pipelines."""

import datetime
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, NamedTuple

import typer

from spatialreward.cli.connection import Connection, connected
from spatialreward.cli.following import Poll, follow_to_end, show_links
from spatialreward.cli.setting_options import changes_of
from spatialreward.errors import InvalidInputError

if TYPE_CHECKING:
    from spatialreward.ops.kubeflow import KubeflowPipelines, Package, Request
    from spatialreward.ops.kubeflow.records import PipelineVersion


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

    What was published before is not uploaded again. Exit status 0: succeeded, or started and not
    followed; 3: the run failed; 4: it was canceled. Ctrl-C ends the watching, not the run.

    Example: spatialreward submit --profile tiny --set rl.num_steps=3
    """
    from spatialreward.ops.kubeflow import parse_parameters, publish
    from spatialreward.ops.kubeflow.triggers import trigger_of

    trigger = trigger_of(schedule, every)
    given = {"data": data, "heldout": heldout, "drawn": drawn, "editor": editor}
    if package is None:
        source = _Source(profile, pipeline, given, overrides or [], images_lock, registry)
        compiled = source.compiled()
    else:
        compiled = _read(package, profile, pipeline, overrides or [], images_lock)
    request = _request(compiled, profile, run_name, experiment, service_account)
    references = [f"{name}={reference}" for name, reference in given.items() if reference]
    parameters = parse_parameters(compiled, [*references, *(params or [])])
    request = request.model_copy(update={"parameters": parameters})
    with connection.client() as client:
        version, was_there = publish(client, compiled, request.note)
        typer.echo(
            f"pipeline {compiled.name}, version {compiled.version_name}: "
            f"{'published before' if was_there else 'published'}"
        )
        if trigger is not None:
            _schedule(connection, client, version, request, trigger)
        else:
            _start(connection, client, version, request, compiled, poll if follow else None)


class _Source(NamedTuple):
    """What is compiled."""

    profile: str | None
    pipeline: str
    given: Mapping[str, str]
    overrides: list[str]
    images_lock: Path | None
    registry: str

    def compiled(self) -> "Package":
        from spatialreward.ops.kubeflow.compiling import compile_profile

        if self.profile is None:
            raise InvalidInputError("expected --profile NAME or --package FILE.yaml")
        return compile_profile(
            self.profile,
            self.overrides,
            self.images_lock,
            self.registry,
            pipeline=self.pipeline,
            given=self.given,
        )


def _read(
    package: Path,
    profile: str | None,
    pipeline: str,
    overrides: list[str],
    images_lock: Path | None,
) -> "Package":
    from spatialreward.ops.kubeflow import read_package

    if profile is not None or pipeline != "full" or overrides or images_lock is not None:
        raise InvalidInputError(
            f"--package {package} is compiled already: "
            "--profile, --pipeline, --set and --images-lock have no effect on it"
        )
    return read_package(package)


def _request(
    package: "Package",
    profile: str | None,
    run_name: str | None,
    experiment: str,
    service_account: str,
) -> "Request":
    from spatialreward.figures import commit
    from spatialreward.ops.kubeflow import Request

    now = datetime.datetime.now(datetime.UTC)
    said = {"profile": profile or "", "commit": commit() if profile else ""}
    return Request(
        run_name=run_name or f"{package.name} {now:%Y-%m-%d %H:%M:%S} {secrets.token_hex(3)}",
        experiment=experiment,
        service_account=service_account,
        note=", ".join(f"{name} {value}" for name, value in said.items() if value),
    )


def _start(
    connection: Connection,
    client: "KubeflowPipelines",
    version: "PipelineVersion",
    request: "Request",
    package: "Package",
    poll: float | None,
) -> None:
    from spatialreward.ops.kubeflow import start, steps_of

    run = start(client, version, request)
    typer.echo(f"run {request.run_name}: started, {run.run_id}")
    show_links(connection, run)
    if poll is None:
        typer.echo(f"follow it: {connection.command(f'runs follow {run.run_id}')}")
        return
    follow_to_end(connection, client, run.run_id, steps_of(package.spec), poll)


def _schedule(
    connection: Connection,
    client: "KubeflowPipelines",
    version: "PipelineVersion",
    request: "Request",
    trigger: Mapping[str, Any],
) -> None:
    from spatialreward.ops.kubeflow import schedule
    from spatialreward.ops.kubeflow.links import schedule_link
    from spatialreward.ops.kubeflow.records import printable

    made = schedule(client, version, request, trigger)
    times = printable(str(made.trigger))
    typer.echo(f"schedule {request.run_name}: {times}, {made.recurring_run_id}")
    typer.echo(f"Kubeflow Pipelines: {schedule_link(connection.server, made)}")
    typer.echo(f"remove it: {connection.command(f'runs unschedule {made.recurring_run_id}')}")
