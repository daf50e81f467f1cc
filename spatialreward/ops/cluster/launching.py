"""Trains on several nodes: makes a TrainJob that does a step, and follows it.

The TrainJob's processes run the step's command under ``torchrun``, so the step is the same one: its
first process opens the run in MLflow, stores the checkpoint and leaves the step's marker in the
store. Here is only waited for that.
"""

import logging
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType

from spatialreward.ops.attempts import refuse_in_vain
from spatialreward.ops.cluster.api import Cluster
from spatialreward.ops.cluster.following import USUAL_PACE, Pace, TrainJobError, run_train_job
from spatialreward.ops.cluster.train_job import Nodes, job_name, train_job
from spatialreward.ops.code_version import CODE_VERSION, code_version
from spatialreward.ops.pipeline_run import PLATFORM_RUN, find_parent
from spatialreward.ops.step import Outputs, finished_step
from spatialreward.ops.tracking import TrackingError, child_runs, open_run
from spatialreward.ops.training_step import TrainingStep

logger = logging.getLogger(__name__)

_HANDED_ON = (PLATFORM_RUN, "MLFLOW_RUN_ID", "MLFLOW_EXPERIMENT_NAME")
"""Variables of this process that the training needs too."""


def run_on_nodes(
    step: TrainingStep, nodes: Nodes, parent_run_id: str, pace: Pace = USUAL_PACE
) -> Outputs:
    """Have a step done by several nodes, or find it done.

    Args:
        step: its command is what the processes run; here nothing is trained.
        nodes: what trains.
        parent_run_id: the pipeline's run in MLflow.
        pace: how often the cluster is asked.

    Raises:
        TrainJobError: the training failed, or has left no checkpoint.
        ClusterError: the cluster refuses, or has been away for too long.
    """
    key = step.key
    parent = find_parent(parent_run_id)
    refuse_in_vain(key, parent)
    if (done := finished_step(step.name, key)) is not None:
        return done
    name = job_name(step.name, key)
    command = ["-m", step.package, *step.command(parent_run_id)]
    env = {variable: os.environ[variable] for variable in _HANDED_ON if variable in os.environ}
    # All processes look for the same marker.
    env[CODE_VERSION] = code_version(step.package)
    job = train_job(name, nodes, command, os.environ.get(PLATFORM_RUN, ""), env)
    with _ended_by_interrupt():
        try:
            run_train_job(Cluster.from_environment(), job, _tell, pace)
        except TrainJobError as error:
            tags = {"step": step.name, "step_key": key, "train_job": name, "error": str(error)}
            _record(error, parent, tags)
            raise
    done = finished_step(step.name, key)
    if done is None:
        raise TrainJobError(f"TrainJob {name} is over, but has left no checkpoint in the store")
    return done


@contextmanager
def _ended_by_interrupt() -> Iterator[None]:
    """Take SIGTERM, with which a pod is ended, for an interrupt: what was begun is undone."""

    def interrupt(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _tell(line: str) -> None:
    """The training's own lines, as they are."""
    sys.stderr.write(f"{line}\n")
    sys.stderr.flush()


def _record(error: TrainJobError, parent: str, tags: dict[str, str]) -> None:
    """Leave a failed run in MLflow when the training did not come to having one itself."""
    if not parent:
        return
    try:
        runs = child_runs(parent)
        attempts = [run for run in runs if run.tags.get("step_key") == tags["step_key"]]
        if attempts and attempts[-1].status == "FAILED":
            return
        with suppress(TrainJobError), open_run(tags["step"], parent_run_id=parent, tags=tags):
            # Of the run alone: a block that raises is a failed run.
            raise error
    except TrackingError as away:
        # What the training failed of is what has to be told.
        logger.warning("not recorded: %s", away)
