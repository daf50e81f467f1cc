"""``spatialreward runs``: runs on Kubeflow Pipelines, what they are at, what to do about them."""

import json
from itertools import islice
from typing import TYPE_CHECKING, Annotated, Any

import typer

from spatialreward.cli.connection import Connection, connected, tracking_uri
from spatialreward.cli.following import (
    Poll,
    follow_to_end,
    logs_command,
    show_links,
    wait_for_end,
)
from spatialreward.cli.leftovers import end_leftovers

if TYPE_CHECKING:
    from rich.table import Table

    from spatialreward.ops.kubeflow import Run

app = typer.Typer(
    no_args_is_help=True,
    help="Runs on Kubeflow Pipelines. RUN is an id, the beginning of one, or a name.",
)
RunName = Annotated[str, typer.Argument(metavar="RUN", help="Id, beginning of an id, or name.")]
ScheduleName = Annotated[
    str, typer.Argument(metavar="SCHEDULE", help="Id, beginning of an id, or name.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]


@app.command("list")
@connected
def list_runs(
    connection: Connection,
    limit: Annotated[int, typer.Option(min=1, help="How many at most.")] = 20,
    state: Annotated[
        str, typer.Option(help="Only those in this state, such as RUNNING, FAILED or CANCELED.")
    ] = "",
    experiment: Annotated[str, typer.Option(help="Only those of this experiment.")] = "",
    archived: Annotated[
        bool, typer.Option("--archived", help="Those that were archived, instead of the others.")
    ] = False,
    json_output: AsJson = False,
) -> None:
    """List runs, the newest first.

    Example: spatialreward runs list --state FAILED --limit 5
    """
    from spatialreward.ops.kubeflow.errors import NotFound
    from spatialreward.ops.kubeflow.records import State

    predicates = [("storage_state", "EQUALS", "ARCHIVED" if archived else "AVAILABLE")]
    wanted = state.upper()
    if wanted:
        # A canceled run has failed, as the server sees it; its history is looked at here.
        on_the_server = State.FAILED if wanted == State.CANCELED else wanted
        predicates.append(("state", "EQUALS", on_the_server))
    with connection.client() as client:
        experiment_id = ""
        if experiment:
            group = client.find_experiment(experiment)
            if group is None:
                raise NotFound(f"{client.server} has no experiment {experiment!r}")
            experiment_id = group.experiment_id
        most = None if wanted else limit
        found = client.runs(*predicates, experiment_id=experiment_id, limit=most)
        runs = list(islice((one for one in found if wanted in ("", one.outcome)), limit))
    if json_output:
        typer.echo(json.dumps([_summary(run) for run in runs], indent=2))
    elif runs:
        from spatialreward.cli.run_view import run_table

        _print(run_table(runs))
    else:
        typer.echo("no runs")


@app.command()
@connected
def show(connection: Connection, run: RunName, json_output: AsJson = False) -> None:
    """Show a run: its steps, its parameters, what went wrong, and where to look.

    Example: spatialreward runs show 3f2a
    """
    from spatialreward.cli.run_view import duration, printable, step_table, utc_now, when
    from spatialreward.ops.kubeflow import find_run, steps_of_run
    from spatialreward.ops.kubeflow.links import run_links
    from spatialreward.ops.kubeflow.steps import progress_of

    with connection.client() as client:
        found = find_run(client, run)
        steps = progress_of(found, steps_of_run(client, found))
    now = utc_now()
    if json_output:
        told = _summary(found) | {
            "steps": [step.as_json(now) for step in steps],
            "parameters": dict(found.runtime_config.parameters),
            "links": run_links(connection.server, found, tracking_uri()),
        }
        typer.echo(json.dumps(told, indent=2))
        return
    typer.echo(f"{printable(found.display_name)}  {found.run_id}  {found.outcome}")
    if found.created_at:
        took = duration(((found.finished_at or now) - found.created_at).total_seconds())
        typer.echo(f"begun {when(found.created_at)} UTC, {took}")
    if found.failure:
        typer.echo(f"error: {printable(found.failure)}")
    for name, value in found.runtime_config.parameters.items():
        typer.echo(f"{printable(name)} = {printable(json.dumps(value))}")
    _print(step_table(steps, now))
    show_links(connection, found)
    typer.echo(f"logs: {logs_command(connection, found)}")


@app.command()
@connected
def follow(connection: Connection, run: RunName, poll: Poll = 5.0) -> None:
    """Follow a run to its end. Exit status 0: succeeded, 3: failed, 4: canceled.

    Ctrl-C ends the watching, not the run.

    Example: spatialreward runs follow 3f2a
    """
    from spatialreward.ops.kubeflow import find_run, steps_of_run

    with connection.client() as client:
        found = find_run(client, run)
        follow_to_end(connection, client, found.run_id, steps_of_run(client, found), poll)


@app.command()
@connected
def cancel(
    connection: Connection,
    run: RunName,
    poll: Poll = 5.0,
    wait: Annotated[
        bool, typer.Option(help="Wait for its pods to end, then do as `runs tidy` does.")
    ] = True,
) -> None:
    """Cancel a run, wait for its pods to end, and end what it leaves behind.

    Example: spatialreward runs cancel 3f2a
    """
    from spatialreward.ops.kubeflow import find_run
    from spatialreward.ops.kubeflow.mending import cancel as stop
    from spatialreward.ops.kubeflow.records import State

    with connection.client() as client:
        found = find_run(client, run)
        stop(client, found)
        typer.echo(f"run {found.run_id} is being canceled")
        if wait:
            found = wait_for_end(connection, client, found.run_id, poll)
    if wait:
        # The history of a run that ends at once does not tell that it was canceled.
        failed = found.state == State.FAILED
        end_leftovers(connection, found, State.CANCELED if failed else found.outcome)
    else:
        tidy = connection.command(f"runs tidy {found.run_id}")
        typer.echo(f"when it is over, end what it leaves behind: {tidy}")


@app.command()
@connected
def tidy(connection: Connection, run: RunName) -> None:
    """End what a run that was stopped has left behind: TrainJobs, and its run in MLflow.

    A run that comes to its last step does this itself; one that was terminated does not. TrainJobs
    are looked for in the cluster of your kubeconfig, the run at MLFLOW_TRACKING_URI.

    Example: spatialreward runs tidy 3f2a
    """
    from spatialreward.ops.kubeflow import find_run
    from spatialreward.ops.kubeflow.errors import KubeflowError

    with connection.client() as client:
        found = find_run(client, run)
    if not found.is_over:
        raise KubeflowError(f"run {found.run_id} is not over: {found.outcome or 'not begun'}")
    end_leftovers(connection, found, found.outcome)


@app.command()
@connected
def retry(connection: Connection, run: RunName) -> None:
    """Do again what failed or was canceled of a run; what succeeded stays.

    Example: spatialreward runs retry 3f2a
    """
    from spatialreward.ops.kubeflow import find_run
    from spatialreward.ops.kubeflow.mending import retry as do_again

    with connection.client() as client:
        found = find_run(client, run)
        do_again(client, found)
    typer.echo(f"run {found.run_id} is retried")
    typer.echo(f"follow it: {connection.command(f'runs follow {found.run_id}')}")


@app.command()
@connected
def archive(connection: Connection, run: RunName) -> None:
    """Take a run off the list; nothing of it is removed.

    Example: spatialreward runs archive 3f2a
    """
    from spatialreward.ops.kubeflow import find_run

    with connection.client() as client:
        found = find_run(client, run)
        client.archive(found.run_id)
    typer.echo(f"run {found.run_id} is archived")


@app.command()
@connected
def schedules(connection: Connection, json_output: AsJson = False) -> None:
    """List schedules, the newest first.

    Example: spatialreward runs schedules --json
    """
    with connection.client() as client:
        found = list(client.schedules())
    if json_output:
        typer.echo(json.dumps([one.model_dump(mode="json") for one in found], indent=2))
    elif found:
        from spatialreward.cli.run_view import schedule_table

        _print(schedule_table(found))
    else:
        typer.echo("no schedules")


@app.command()
@connected
def pause(connection: Connection, schedule: ScheduleName) -> None:
    """Have a schedule start no runs until it is resumed.

    Example: spatialreward runs pause weekly
    """
    _let_start(connection, schedule, enabled=False)


@app.command()
@connected
def resume(connection: Connection, schedule: ScheduleName) -> None:
    """Have a schedule start runs again.

    Example: spatialreward runs resume weekly
    """
    _let_start(connection, schedule, enabled=True)


@app.command()
@connected
def unschedule(connection: Connection, schedule: ScheduleName) -> None:
    """Remove a schedule; runs that it started stay.

    Example: spatialreward runs unschedule weekly
    """
    from spatialreward.ops.kubeflow import find_schedule

    with connection.client() as client:
        found = find_schedule(client, schedule)
        client.delete_schedule(found.recurring_run_id)
    typer.echo(f"schedule {found.recurring_run_id} is removed")


def _let_start(connection: Connection, schedule: str, *, enabled: bool) -> None:
    from spatialreward.ops.kubeflow import find_schedule

    with connection.client() as client:
        found = find_schedule(client, schedule)
        client.enable_schedule(found.recurring_run_id, enabled=enabled)
    typer.echo(
        f"schedule {found.recurring_run_id} {'starts runs again' if enabled else 'is paused'}"
    )


def _summary(run: "Run") -> dict[str, Any]:
    fields = {
        "run_id",
        "display_name",
        "description",
        "experiment_id",
        "recurring_run_id",
        "storage_state",
        "created_at",
        "finished_at",
    }
    return run.model_dump(mode="json", include=fields) | {
        "state": run.outcome,
        "error": run.failure,
    }


def _print(table: "Table") -> None:
    from spatialreward.figures import figures_console

    figures_console().print(table)
