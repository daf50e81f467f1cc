"""The run in MLflow that a pipeline's steps belong to: who opens it, how it is found, how it ends.

The caller that starts a pipeline may open the run and pass its id on, as the driver on one machine
does; Kubeflow Pipelines may make it, with a run for every task (its MLflow plugin); otherwise the
pipeline's first step opens it, and notes the platform's id of the run by which all other steps find
it. The last step records how the pipeline ended, and ends the run if the first step opened it.
"""

import logging
import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from spatialreward.ops.config import flatten
from spatialreward.ops.tracking import ChildRun, Tracker, TrackingError, child_runs, connect
from spatialreward.ops.tracking import experiment_id as our_experiment

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

logger = logging.getLogger(__name__)

PLATFORM_RUN = "SPATIALREWARD_KFP_RUN_ID"
"""Environment variable: the platform's id of the pipeline's run; a pod's label has it."""
_PLATFORM_TAG = "kfp_run_id"
_OPENED_BY, _FIRST_STEP = "opened_by", "open-run"
_PARENT_TAG = "mlflow.parentRunId"
_NOTE = "mlflow.note.content"
_LOST = "ended without a word: its process was killed, for lack of memory or with its node"
_FAILURE_TAGS = ("failed_step", "failed_run_id", "error")

Ended = Literal["succeeded", "failed", "cancelled"]
_STATES: dict[str, Ended] = {
    "SUCCEEDED": "succeeded",
    "COMPLETE": "succeeded",
    "CACHED": "succeeded",
    "FAILED": "failed",
    "CANCELLED": "cancelled",
    "CANCELED": "cancelled",
}
"""How the platform may have ended: by its API, or as its last step is told (ML Metadata's words).

Kubeflow Pipelines 2.17 tells the last step ``RUNNING`` when a task of a loop came from its cache,
and when a task could not be prepared: then the steps' runs tell.
"""
_RUN_STATUS: dict[Ended, str] = {
    "succeeded": "FINISHED",
    "failed": "FAILED",
    "cancelled": "KILLED",
}


class Outcome(NamedTuple):
    """How a pipeline came out."""

    ended: Ended
    step: str = ""
    """The step that failed first, as far as it is known."""
    error: str = ""
    """What it said."""
    run_id: str = ""
    """Its run in MLflow."""

    def __str__(self) -> str:
        """One line."""
        said = ": ".join(filter(None, (self.step, self.error)))
        return f"{self.ended}: {said}" if said else self.ended


def find_parent(parent_run_id: str, platform_run: str = "") -> str:
    """The run that a step belongs to; empty when there is none.

    Args:
        parent_run_id: as it was handed to the step; goes before everything else.
        platform_run: the platform's id of the pipeline's run, for callers that are no steps of
            it; those know it from their environment.

    Raises:
        TrackingError: the server does not answer.
    """
    if parent_run_id or not os.environ.get("MLFLOW_TRACKING_URI"):
        return parent_run_id
    injected = "" if platform_run else os.environ.get("MLFLOW_RUN_ID")
    platform_run = platform_run or os.environ.get(PLATFORM_RUN, "")
    if not injected and not platform_run:
        return ""
    client = connect()
    if injected:
        return _run(client, injected).data.tags.get(_PARENT_TAG, injected)
    found = _opened(client, platform_run)
    return found.info.run_id if found else ""


def open_pipeline_run(
    name: str, profile: str, settings: Mapping[str, Any], parent_run_id: str
) -> str:
    """Open the run of a pipeline, unless it is open; returns its id, empty without a server.

    Done again for the same run of the platform it finds what it opened before.

    Args:
        name: of the run.
        profile: goes into a tag.
        settings: what the pipeline was compiled with, nested.
        parent_run_id: the run, if it is open.

    Raises:
        TrackingError: the server does not answer.
    """
    found = find_parent(parent_run_id)
    if found or not os.environ.get("MLFLOW_TRACKING_URI"):
        return found
    client = connect()
    platform_run = os.environ.get(PLATFORM_RUN, "")
    tags = {"profile": profile, _PLATFORM_TAG: platform_run, _OPENED_BY: _FIRST_STEP}
    from mlflow.exceptions import MlflowException

    try:
        run = client.create_run(our_experiment(client), run_name=name, tags=tags)
    except MlflowException as error:
        raise TrackingError(f"run {name}: {error}") from error
    Tracker(client, run.info.run_id).log_params(flatten(settings))
    return run.info.run_id


def close_pipeline_run(
    state: str, message: str, parent_run_id: str, last_step: str = ""
) -> Outcome:
    """Record how a pipeline came out, and end its run if its first step opened it.

    A step's run that is still open then was left by a process that was killed; it is ended too.

    Args:
        state: the platform's final state of all steps together.
        message: what the platform says of a failure.
        parent_run_id: the run, if it was handed on.
        last_step: when this one has finished all have; looked for where ``state`` is none that a
            pipeline ends in.

    Raises:
        TrackingError: the server does not answer, or does not record it.
    """
    parent = find_parent(parent_run_id)
    if not parent:
        outcome = Outcome(_STATES.get(state, "failed"), error=message)
        logger.warning("no run in MLflow to record the outcome in: %s", outcome)
        return outcome
    # The platform's plugin has runs of its own there, such as that of the task that does this.
    steps = [run for run in child_runs(parent) if "step_key" in run.tags]
    outcome = _outcome(_STATES.get(state) or _ended(steps, last_step), message, steps)
    client = connect()
    run = _run(client, parent)
    from mlflow.exceptions import MlflowException

    try:
        _record(client, run, outcome)
        if run.data.tags.get(_OPENED_BY) == _FIRST_STEP:
            _end(client, parent, steps, outcome)
    except MlflowException as error:
        raise TrackingError(f"run {parent}: {outcome}, but not recorded: {error}") from error
    return outcome


def recorded_outcome(run_id: str) -> Outcome | None:
    """What ``close_pipeline_run`` recorded; None when it did not come to that.

    Raises:
        TrackingError: there is no such run, or the server does not answer.
    """
    tags = _run(connect(), run_id).data.tags
    ended = next((one for one in _RUN_STATUS if one == tags.get("outcome")), None)
    if ended is None:
        return None
    return Outcome(
        ended, *(tags.get(name, "") for name in ("failed_step", "error", "failed_run_id"))
    )


def _ended(steps: Sequence[ChildRun], last_step: str) -> Ended:
    """How a pipeline has ended, by the runs of its steps."""
    last = [step for step in steps if step.tags.get("step") == last_step]
    return "succeeded" if any(step.status == "FINISHED" for step in last) else "failed"


def _outcome(ended: Ended, message: str, steps: Sequence[ChildRun]) -> Outcome:
    if ended == "succeeded":
        return Outcome(ended)
    # A step that was tried again is where its last attempt left it.
    last = {step.tags["step_key"]: step for step in steps}
    for status, said in (("FAILED", message), ("RUNNING", _LOST)):
        failed = next((step for step in last.values() if step.status == status), None)
        if failed is not None:
            return Outcome(ended, failed.name, failed.tags.get("error", said), failed.run_id)
    return Outcome(ended, error=message)


def _record(client: "MlflowClient", run: "Run", outcome: Outcome) -> None:
    values = (outcome.step, outcome.run_id, outcome.error)
    tags = {"outcome": outcome.ended, _NOTE: _note(run, outcome)}
    tags |= {name: value for name, value in zip(_FAILURE_TAGS, values, strict=True) if value}
    for name in _FAILURE_TAGS:
        # Of an earlier attempt at the same run.
        if name not in tags and name in run.data.tags:
            client.delete_tag(run.info.run_id, name)
    for name, value in tags.items():
        client.set_tag(run.info.run_id, name, value)


def _end(client: "MlflowClient", parent: str, steps: Sequence[ChildRun], outcome: Outcome) -> None:
    for step in steps:
        if step.status == "RUNNING":
            client.set_tag(step.run_id, "error", _LOST)
            client.set_terminated(step.run_id, "KILLED")
    client.set_terminated(parent, _RUN_STATUS[outcome.ended])


def _note(run: "Run", outcome: Outcome) -> str:
    """What MLflow shows on the run's page."""
    if not outcome.run_id:
        return str(outcome)
    link = f"#/experiments/{run.info.experiment_id}/runs/{outcome.run_id}"
    return f"{outcome.ended}: [{outcome.step}]({link}): {outcome.error}"


def _opened(client: "MlflowClient", platform_run: str) -> "Run | None":
    from mlflow.exceptions import MlflowException

    query = f"tags.{_PLATFORM_TAG} = '{platform_run}' AND tags.{_OPENED_BY} = '{_FIRST_STEP}'"
    try:
        return next(iter(client.search_runs([our_experiment(client)], query, max_results=1)), None)
    except MlflowException as error:
        raise TrackingError(f"run of {platform_run}: {error}") from error


def _run(client: "MlflowClient", run_id: str) -> "Run":
    from mlflow.exceptions import MlflowException

    try:
        return client.get_run(run_id)
    except MlflowException as error:
        raise TrackingError(f"run {run_id}: {error}") from error
