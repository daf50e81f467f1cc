"""``spatialreward runs``: runs on Kubeflow Pipelines, their progress, and what to do about them."""

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
from spatialreward.figures import figures_console
from spatialreward.ops.kubeflow import KubeflowError, find_run, find_schedule, steps_of_run
from spatialreward.ops.kubeflow import runs as platform
from spatialreward.ops.kubeflow.errors import NotFound
from spatialreward.ops.kubeflow.links import run_links
from spatialreward.ops.kubeflow.states import OVER, failure, moment, outcome, printable
from spatialreward.ops.kubeflow.steps import progress_of

if TYPE_CHECKING:
    from spatialreward.ops.kubeflow.client import Run

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
    client, wanted = connection.open(), state.upper()
    fields = {"storage_state": "ARCHIVED" if archived else "AVAILABLE"}
    if wanted:
        # The server calls a canceled run failed; its history makes the difference below.
        fields["state"] = "FAILED" if wanted == "CANCELED" else wanted
    group = client.find_experiment(experiment) if experiment else None
    if experiment and group is None:
        raise NotFound(f"{client.server} has no experiment {experiment!r}")
    found = client.list_runs(experiment_id=group and group.experiment_id, **fields)
    runs = list(islice((one for one in found if wanted in ("", outcome(one))), limit))
    if json_output:
        _print_json([_summary(run) for run in runs])
    elif runs:
        from spatialreward.cli.run_view import run_table

        figures_console().print(run_table(runs))
    else:
        typer.echo("no runs")


@app.command()
@connected
def show(connection: Connection, run: RunName, json_output: AsJson = False) -> None:
    """Show a run: its steps, its parameters, the reason of a failure, and where to look.

    Example: spatialreward runs show 3f2a
    """
    from spatialreward.cli.run_view import step_table, took, utc_now, when

    client = connection.open()
    found = find_run(client, run)
    steps, now = progress_of(found, steps_of_run(client, found)), utc_now()
    parameters = (found.runtime_config and found.runtime_config.parameters) or {}
    if json_output:
        links = run_links(connection.server, found, tracking_uri())
        more = {"parameters": parameters, "links": links}
        _print_json(_summary(found) | {"steps": [step.as_json(now) for step in steps]} | more)
        return
    typer.echo(printable(f"{found.display_name}  {found.run_id}  {outcome(found)}"))
    if moment(found.created_at):
        typer.echo(f"begun {when(found.created_at)} UTC, {took(found)}")
    if failure(found):
        typer.echo(f"error: {failure(found)}")
    for name, value in parameters.items():
        typer.echo(printable(f"{name} = {json.dumps(value)}"))
    figures_console().print(step_table(steps, now))
    show_links(connection, found)
    typer.echo(f"logs: {logs_command(connection, found)}")


@app.command()
@connected
def follow(connection: Connection, run: RunName, poll: Poll = 5.0) -> None:
    """Follow a run to its end. Exit status 0: succeeded, 3: failed, 4: canceled.

    Ctrl-C ends the watching, not the run.

    Example: spatialreward runs follow 3f2a
    """
    client = connection.open()
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
    """Cancel a run, wait for its pods to end, and end its leftovers.

    Example: spatialreward runs cancel 3f2a
    """
    client = connection.open()
    found = find_run(client, run)
    platform.cancel(client, found)
    typer.echo(f"run {found.run_id} is being canceled")
    if not wait:
        tidy = connection.command(f"runs tidy {found.run_id}")
        typer.echo(f"when it is over, end its leftovers: {tidy}")
        return
    found = wait_for_end(connection, client, found.run_id, poll)
    # The history of a run that ends at once does not have that it was canceled.
    end_leftovers(connection, found, "CANCELED" if found.state == "FAILED" else outcome(found))


@app.command()
@connected
def tidy(connection: Connection, run: RunName) -> None:
    """End the leftovers of a run that was stopped: TrainJobs, and its run in MLflow.

    A run that comes to its last step does this itself; one that was terminated does not. TrainJobs
    are looked for in the cluster of your kubeconfig, the run at MLFLOW_TRACKING_URI.

    Example: spatialreward runs tidy 3f2a
    """
    found = find_run(connection.open(), run)
    if found.state not in OVER:
        raise KubeflowError(f"run {found.run_id} is not over: {outcome(found) or 'not begun'}")
    end_leftovers(connection, found, outcome(found))


@app.command()
@connected
def retry(connection: Connection, run: RunName) -> None:
    """Re-run the steps of a run that failed or were canceled; those that succeeded stay.

    Example: spatialreward runs retry 3f2a
    """
    client = connection.open()
    found = find_run(client, run)
    platform.retry(client, found)
    typer.echo(f"run {found.run_id} is retried")
    typer.echo(f"follow it: {connection.command(f'runs follow {found.run_id}')}")


@app.command()
@connected
def archive(connection: Connection, run: RunName) -> None:
    """Take a run off the list; nothing of it is removed.

    Example: spatialreward runs archive 3f2a
    """
    client = connection.open()
    found = find_run(client, run)
    client.runs.run_service_archive_run(found.run_id)
    typer.echo(f"run {found.run_id} is archived")


@app.command()
@connected
def schedules(connection: Connection, json_output: AsJson = False) -> None:
    """List schedules, the newest first.

    Example: spatialreward runs schedules --json
    """
    found = list(connection.open().list_schedules())
    if json_output:
        names = ("recurring_run_id", "display_name", "description", "status", "created_at")
        triggers = ({"trigger": one.trigger and one.trigger.to_dict()} for one in found)
        _print_json([_fields(one, names) | more for one, more in zip(found, triggers, strict=True)])
    elif found:
        from spatialreward.cli.run_view import schedule_table

        figures_console().print(schedule_table(found))
    else:
        typer.echo("no schedules")


@app.command()
@connected
def pause(connection: Connection, schedule: ScheduleName) -> None:
    """Let a schedule start no runs until it is resumed.

    Example: spatialreward runs pause weekly
    """
    client = connection.open()
    schedule_id = find_schedule(client, schedule).recurring_run_id
    client.schedules.recurring_run_service_disable_recurring_run(schedule_id)
    typer.echo(f"schedule {schedule_id} is paused")


@app.command()
@connected
def resume(connection: Connection, schedule: ScheduleName) -> None:
    """Let a schedule start runs again.

    Example: spatialreward runs resume weekly
    """
    client = connection.open()
    schedule_id = find_schedule(client, schedule).recurring_run_id
    client.schedules.recurring_run_service_enable_recurring_run(schedule_id)
    typer.echo(f"schedule {schedule_id} starts runs again")


@app.command()
@connected
def unschedule(connection: Connection, schedule: ScheduleName) -> None:
    """Remove a schedule; runs that it started stay.

    Example: spatialreward runs unschedule weekly
    """
    client = connection.open()
    schedule_id = find_schedule(client, schedule).recurring_run_id
    client.schedules.recurring_run_service_delete_recurring_run(schedule_id)
    typer.echo(f"schedule {schedule_id} is removed")


def _summary(run: "Run") -> dict[str, Any]:
    names = ("run_id", "display_name", "description", "experiment_id", "recurring_run_id")
    names += ("storage_state", "created_at", "finished_at")
    return _fields(run, names) | {"state": outcome(run), "error": failure(run)}


def _fields(one: Any, names: tuple[str, ...]) -> dict[str, Any]:
    """Fields of a thing, with None for a time that is not yet and nothing for a missing text."""
    found = {name: getattr(one, name) for name in names}
    times = {name: moment(found[name]) for name in names if name.endswith("_at")}
    return {name: value or "" for name, value in found.items()} | {
        name: time and time.isoformat() for name, time in times.items()
    }


def _print_json(value: Any) -> None:
    typer.echo(json.dumps(value, indent=2, default=str))
