"""Follows a run on the command line; the exit status tells how it ended."""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated

import typer

from spatialreward.cli.command import INTERRUPTED
from spatialreward.cli.connection import USUAL_NAMESPACE, Connection, tracking_uri
from spatialreward.ops.kubeflow import KubeflowError, follow
from spatialreward.ops.kubeflow.links import run_links
from spatialreward.ops.kubeflow.states import OVER, failure, outcome, printable

if TYPE_CHECKING:
    from spatialreward.ops.kubeflow.client import KubeflowPipelines, Run
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
    """Show a run until it is over, then its links and, after a failure, what to do.

    Raises:
        KubeflowError: the server refuses, or was away too long.
        typer.Exit: the run did not succeed, or Ctrl-C ended the watching.
    """
    from rich.console import Console

    from spatialreward.cli.run_view import run_view, took

    again, cancel = (connection.command(f"runs {verb} {run_id}") for verb in ("follow", "cancel"))
    stopped = f"no longer followed, the run goes on; cancel it: {cancel}\nfollow it again: {again}"
    with (
        _until_interrupt(stopped, f"the run goes on, follow it again: {again}"),
        run_view(Console(highlight=False), steps) as view,
    ):
        for run in follow(
            client, run_id, every_s, lambda error: view.silence(f"{error}; the run goes on")
        ):
            view.update(run)
    why = f": {failure(run)}" if failure(run) else ""
    after = f" after {took(run)}" if took(run) else ""
    typer.echo(f"run {printable(run.display_name)}: {outcome(run)}{after}{why}")
    show_links(connection, run)
    if outcome(run) not in ("SUCCEEDED", "SKIPPED"):
        typer.echo(f"logs: {logs_command(connection, run)}", err=True)
        retry = connection.command(f"runs retry {run_id}")
        typer.echo(f"re-run its failed steps: {retry}", err=True)
        raise typer.Exit(RUN_CANCELED if outcome(run) == "CANCELED" else RUN_FAILED)


def wait_for_end(
    connection: Connection, client: "KubeflowPipelines", run_id: str, every_s: float
) -> "Run":
    """A run that is being canceled, when it is over.

    Raises:
        KubeflowError: it does not end, or the server refuses, or was away too long.
        typer.Exit: Ctrl-C ended the waiting.
    """
    tidy = f"when it is over: {connection.command(f'runs tidy {run_id}')}"
    end = time.monotonic() + _CANCELED_WITHIN_S
    with _until_interrupt(f"no longer waited for; {tidy}", tidy):
        for run in follow(client, run_id, every_s, lambda error: typer.echo(str(error), err=True)):
            if run.state not in OVER and time.monotonic() > end:
                raise KubeflowError(
                    f"run {run_id} was canceled, but is still {outcome(run)} after "
                    f"{_CANCELED_WITHIN_S / 60:.0f} min"
                )
    return run


@contextmanager
def _until_interrupt(on_interrupt: str, on_error: str) -> Iterator[None]:
    try:
        yield
    except KeyboardInterrupt as error:
        typer.echo(f"\n{on_interrupt}", err=True)
        raise typer.Exit(INTERRUPTED) from error
    except KubeflowError as error:
        raise type(error)(f"{error}; {on_error}") from error


def show_links(connection: Connection, run: "Run") -> None:
    """Print where to look at a run."""
    for what, link in run_links(connection.server, run, tracking_uri()).items():
        typer.echo(f"{what}: {link}")


def logs_command(connection: Connection, run: "Run") -> str:
    """The command that reads the logs of a run's steps while their pods are there."""
    namespace = connection.namespace or USUAL_NAMESPACE
    run_id = printable(run.run_id)
    return f"kubectl logs -n {namespace} -l pipeline/runid={run_id} -c main --prefix --tail=100"
