"""The first and the last step of a pipeline: open and close its run in MLflow.

Neither has an MLflow run of its own.
"""

import logging
import os
import time

from spatialreward.errors import InvalidInputError
from spatialreward.ops.config import read_settings
from spatialreward.ops.pipeline_run import PLATFORM_RUN, close_pipeline_run, open_pipeline_run
from spatialreward.records import Record

logger = logging.getLogger(__name__)

_WAITS_S = (2.0, 5.0, 15.0, 40.0)
"""Waits while the cluster does not answer; a minute in total."""


class FinalStatus(Record):
    """The platform's status of all steps together."""

    state: str
    message: str = ""


def open_run(name: str, profile: str, settings: str, parent_run_id: str) -> str:
    """Open a pipeline's run unless it is open; returns its id, empty without a server.

    Raises:
        InvalidInputError: the settings are not a JSON object.
        TrackingError: the server is unreachable.
    """
    import json

    try:
        given = dict(json.loads(settings))
    except (TypeError, ValueError) as error:
        raise InvalidInputError(f"--settings: expected a JSON object: {error}") from error
    return open_pipeline_run(name, profile, given, parent_run_id)


def close_run(status: str, *, has_train_jobs: bool, parent_run_id: str, last_step: str = "") -> str:
    """Delete the run's remaining TrainJobs, then record its outcome; returns it.

    Raises:
        InvalidInputError: the status is malformed, or the platform's id of the run is unknown.
        ClusterError: TrainJobs could not be deleted; the outcome is recorded nevertheless.
        TrackingError: the tracking server is unreachable.
    """
    final = read_settings(FinalStatus, status, "--status")
    try:
        if has_train_jobs:
            _delete_train_jobs()
    finally:
        outcome = close_pipeline_run(final.state, final.message, parent_run_id, last_step)
    logger.info("the pipeline has %s", outcome)
    return str(outcome)


def _delete_train_jobs() -> None:
    run = os.environ.get(PLATFORM_RUN)
    if not run:
        raise InvalidInputError(f"TrainJobs of which run? {PLATFORM_RUN} is not set")
    for name in _deleted(run):
        logger.info("deleted TrainJob %s, which the run still had", name)


def _deleted(run: str) -> list[str]:
    from spatialreward.ops.cluster.api import Cluster, ClusterUnavailable
    from spatialreward.ops.cluster.train_job import delete_train_jobs

    cluster = Cluster.from_environment()
    # They hold GPUs, and no later step would delete them.
    for wait_s in _WAITS_S:
        try:
            return delete_train_jobs(cluster, run)
        except ClusterUnavailable as error:
            logger.warning("%s; again in %.0f s", error, wait_s)
            time.sleep(wait_s)
    return delete_train_jobs(cluster, run)
