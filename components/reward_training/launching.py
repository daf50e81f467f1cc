"""Trains a judge on several nodes: makes a TrainJob that does the step, and follows it.

The TrainJob's processes run ``train-judge`` under ``torchrun``, so the step is the same one: its
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

from components.reward_training.steps import STEP, inputs_of, references
from spatialreward.ops.attempts import refuse_in_vain
from spatialreward.ops.cluster.api import Cluster
from spatialreward.ops.cluster.following import USUAL_PACE, Pace, TrainJobError, run_train_job
from spatialreward.ops.cluster.train_job import Nodes, job_name, train_job
from spatialreward.ops.code_version import CODE_VERSION, code_version
from spatialreward.ops.config import JudgeTrainingStep
from spatialreward.ops.pipeline_run import PLATFORM_RUN, find_parent
from spatialreward.ops.step import finished_step, step_key
from spatialreward.ops.tracking import TrackingError, child_runs, open_run

logger = logging.getLogger(__name__)

_HANDED_ON = (PLATFORM_RUN, "MLFLOW_RUN_ID", "MLFLOW_EXPERIMENT_NAME")
"""Variables of this process that the training needs too."""


def train_judge_on_nodes(
    config: JudgeTrainingStep,
    nodes: Nodes,
    data: str,
    parent_run_id: str,
    pace: Pace = USUAL_PACE,
    *,
    drawn: str = "",
) -> str:
    """Train a judge on several nodes; returns what ``train_judge`` does.

    Raises:
        TrainJobError: the training failed, or has left no checkpoint.
        ClusterError: the cluster refuses, or has been away for too long.
    """
    inputs = inputs_of(config, data, drawn)
    key = step_key(STEP, config, inputs, __package__)
    parent = find_parent(parent_run_id)
    refuse_in_vain(key, parent)
    if (done := finished_step(STEP, key)) is not None:
        return references(done)
    name = job_name(STEP, key)
    command = ["-m", "components.reward_training", STEP]
    command += ["--config", config.model_dump_json(), "--data", data]
    command += ["--drawn", drawn] if drawn else []
    command += ["--parent-run-id", parent_run_id]
    env = {variable: os.environ[variable] for variable in _HANDED_ON if variable in os.environ}
    # All processes look for the same marker.
    env[CODE_VERSION] = code_version(__package__)
    job = train_job(name, nodes, command, os.environ.get(PLATFORM_RUN, ""), env)
    with _ended_by_interrupt():
        try:
            run_train_job(Cluster.from_environment(), job, _tell, pace)
        except TrainJobError as error:
            _record(error, name, key, parent)
            raise
    done = finished_step(STEP, key)
    if done is None:
        raise TrainJobError(f"TrainJob {name} is over, but has left no checkpoint in the store")
    return references(done)


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


def _record(error: TrainJobError, name: str, key: str, parent: str) -> None:
    """Leave a failed run in MLflow when the training did not come to having one itself."""
    if not parent:
        return
    tags = {"step": STEP, "step_key": key, "train_job": name, "error": str(error)}
    try:
        attempts = [run for run in child_runs(parent) if run.tags.get("step_key") == key]
        if attempts and attempts[-1].status == "FAILED":
            return
        with suppress(TrainJobError), open_run(STEP, parent_run_id=parent, tags=tags):
            # Of the run alone: a block that raises is a failed run.
            raise error
    except TrackingError as away:
        # What the training failed of is what has to be told.
        logger.warning("not recorded: %s", away)
