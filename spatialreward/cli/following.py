"""Follows a run on the command line; the exit status tells how it ended."""

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from spatialreward.cli.command import INTERRUPTED
from spatialreward.cli.connection import USUAL_NAMESPACE, Connection, tracking_uri

if TYPE_CHECKING:
    from spatialreward.ops.kubeflow import KubeflowPipelines, Run
    from spatialreward.ops.kubeflow.package import Step

RUN_FAILED = 3
RUN_CANCELED = 4
_CANCELED_WITHIN_S = 900.0
"""Pods have half a minute to end; a controller that restarts takes longer."""

Poll = Annotated[float, typer.Option(min=0.05, help="Seconds between two looks at the run.")]


def follow_to_end(
    connection: Connection,
    client: "KubeflowPipelines",
    run_id: str,
    steps: "Sequence[Step]",
    every_s: float,
) -> None:
    """Show a run until it is over. Ctrl-C ends the watching, not the run.

    Raises:
        KubeflowError: the server refuses, or was away too long.
        typer.Exit: the run did not succeed, or the user has seen enough.
    """
    from rich.console import Console

    from spatialreward.cli.run_view import run_view
    from spatialreward.ops.kubeflow import KubeflowError, follow

    again = connection.command(f"runs follow {run_id}")
    view = run_view(Console(highlight=False), steps)
    run = None
    try:
        with view:
            for run in follow(
                client, run_id, every_s, lambda error: view.silence(f"{error}; the run goes on")
            ):
                view.update(run)
    except KeyboardInterrupt as error:
        cancel = connection.command(f"runs cancel {run_id}")
        typer.echo(f"\nno longer followed, the run goes on; cancel it: {cancel}", err=True)
        typer.echo(f"follow it again: {again}", err=True)
        raise typer.Exit(INTERRUPTED) from error
    except KubeflowError as error:
        raise type(error)(f"{error}; the run goes on, follow it again: {again}") from error
    assert run is not None
    tell_end(connection, run)


def wait_for_end(
    connection: Connection, client: "KubeflowPipelines", run_id: str, every_s: float
) -> "Run":
    """A run that is being canceled, when it is over. Ctrl-C ends the waiting.

    Raises:
        KubeflowError: it does not end, or the server refuses, or was away too long.
        typer.Exit: the user has waited enough.
    """
    from spatialreward.ops.kubeflow import KubeflowError, follow

    tidy = connection.command(f"runs tidy {run_id}")
    end = time.monotonic() + _CANCELED_WITHIN_S
    run = None
    try:
        for run in follow(client, run_id, every_s, lambda error: typer.echo(str(error), err=True)):
            if not run.is_over and time.monotonic() > end:
                raise KubeflowError(
                    f"run {run_id} was canceled, but is still {run.outcome} after "
                    f"{_CANCELED_WITHIN_S / 60:.0f} min"
                )
    except KeyboardInterrupt as error:
        typer.echo(f"\nno longer waited for; when it is over: {tidy}", err=True)
        raise typer.Exit(INTERRUPTED) from error
    except KubeflowError as error:
        raise type(error)(f"{error}; when it is over: {tidy}") from error
    assert run is not None
    return run


def tell_end(connection: Connection, run: "Run") -> None:
    """Say how a run ended, and what to do about it.

    Raises:
        typer.Exit: it did not succeed.
    """
    from spatialreward.cli.run_view import duration, printable
    from spatialreward.ops.kubeflow.records import State

    took = ""
    if run.created_at and run.finished_at:
        took = f" after {duration((run.finished_at - run.created_at).total_seconds())}"
    why = f": {printable(run.failure)}" if run.failure else ""
    typer.echo(f"run {printable(run.display_name)}: {run.outcome}{took}{why}")
    show_links(connection, run)
    if run.outcome in (State.SUCCEEDED, State.SKIPPED):
        return
    retry = connection.command(f"runs retry {run.run_id}")
    typer.echo(f"logs: {logs_command(connection, run)}", err=True)
    typer.echo(f"do again what failed of it: {retry}", err=True)
    raise typer.Exit(RUN_CANCELED if run.outcome == State.CANCELED else RUN_FAILED)


def show_links(connection: Connection, run: "Run") -> None:
    """Print where to look at a run."""
    from spatialreward.ops.kubeflow.links import run_links

    for what, link in run_links(connection.server, run, tracking_uri()).items():
        typer.echo(f"{what}: {link}")


def logs_command(connection: Connection, run: "Run") -> str:
    """How to read the logs of a run's steps while their pods are there."""
    namespace = connection.namespace or USUAL_NAMESPACE
    return f"kubectl logs -n {namespace} -l pipeline/runid={run.run_id} -c main --prefix --tail=100"
