"""Ends the leftovers of a run on Kubeflow Pipelines that did not come to its last step."""

from typing import TYPE_CHECKING

import typer

from spatialreward.cli.connection import USUAL_NAMESPACE, Connection, tracking_uri
from spatialreward.ops.kubeflow.links import parent_of
from spatialreward.ops.kubeflow.states import failure, printable

if TYPE_CHECKING:
    from spatialreward.ops.kubeflow.client import Run


def end_leftovers(connection: Connection, run: "Run", ended: str) -> None:
    """Delete the TrainJobs of a run that is over, and record its state ``ended`` in MLflow.

    Raises:
        ClusterError: the cluster does not delete them; the outcome is recorded nevertheless.
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
    # Another cluster than the run's has none of it either, so the message names the cluster.
    typer.echo(f"deleted TrainJobs in {cluster.where}: {', '.join(names) or 'there were none'}")


def _close_in_mlflow(run: "Run", ended: str) -> None:
    if not tracking_uri():
        typer.echo("the run in MLflow was not looked for: MLFLOW_TRACKING_URI is not set")
        return
    from spatialreward.ops.pipeline_run import close_pipeline_run, find_parent

    try:
        parent = find_parent(parent_of(run), run.run_id)
        closed = close_pipeline_run(ended, failure(run), parent) if parent else None
    except ModuleNotFoundError as error:
        typer.echo(f"the run in MLflow was not looked for: {error.name} is not installed")
        return
    recorded = f"recorded in MLflow's run {parent}: {closed}"
    typer.echo("it has no run in MLflow" if closed is None else printable(recorded))
