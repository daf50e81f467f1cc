"""Ends what a run on Kubeflow Pipelines leaves behind when it does not come to its last step."""

from typing import TYPE_CHECKING

import typer

from spatialreward.cli.connection import USUAL_NAMESPACE, Connection, tracking_uri

if TYPE_CHECKING:
    from spatialreward.ops.kubeflow import Run


def end_leftovers(connection: Connection, run: "Run", ended: str) -> None:
    """Delete a run's TrainJobs, record how it came out in MLflow, and say what was done.

    Args:
        connection: to the server that it ran on.
        run: it is over.
        ended: the state to record.

    Raises:
        ClusterError: the cluster does not do it; the outcome is recorded nevertheless.
        TrackingError: the tracking server does not answer, or does not record it.
    """
    try:
        _delete_train_jobs(connection, run)
    finally:
        _close_in_mlflow(run, ended)


def _delete_train_jobs(connection: Connection, run: "Run") -> None:
    from spatialreward.ops.cluster.api import Cluster, NoCluster
    from spatialreward.ops.cluster.train_job import RUN_LABEL, delete_train_jobs

    namespace = connection.namespace or USUAL_NAMESPACE
    try:
        cluster = Cluster.from_environment(namespace)
    except NoCluster as error:
        command = f"kubectl delete trainjobs -n {namespace} -l {RUN_LABEL}={run.run_id}"
        typer.echo(f"TrainJobs were not looked for ({error}); where there may be some: {command}")
        return
    names = delete_train_jobs(cluster, run.run_id)
    # Another cluster than the run's has none of it either: which one was asked has to be said.
    typer.echo(f"deleted TrainJobs in {cluster.where}: {', '.join(names) or 'none was left'}")


def _close_in_mlflow(run: "Run", ended: str) -> None:
    if not tracking_uri():
        typer.echo("the run in MLflow was not looked for: MLFLOW_TRACKING_URI is not set")
        return
    from spatialreward.ops.kubeflow.links import parent_in_mlflow
    from spatialreward.ops.kubeflow.records import printable
    from spatialreward.ops.pipeline_run import close_pipeline_run, find_parent

    try:
        parent = find_parent(parent_in_mlflow(run), run.run_id)
        outcome = close_pipeline_run(ended, run.failure, parent) if parent else None
    except ModuleNotFoundError as error:
        typer.echo(f"the run in MLflow was not looked for: {error.name} is not installed")
        return
    if outcome is None:
        typer.echo("it has no run in MLflow")
    else:
        typer.echo(printable(f"recorded in MLflow's run {parent}: {outcome}"))
