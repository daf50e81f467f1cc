"""Canceling a run, and doing again what failed of it."""

from spatialreward.ops.kubeflow.client import KubeflowPipelines
from spatialreward.ops.kubeflow.errors import (
    AnswerLost,
    KubeflowError,
    OutcomeUnknown,
    RequestRefused,
    ServerFault,
)
from spatialreward.ops.kubeflow.records import Run, State

_RETRIABLE = (State.FAILED, State.CANCELED)


def cancel(client: KubeflowPipelines, run: Run) -> None:
    """Have a run stopped; its pods end a little later.

    Raises:
        KubeflowError: it is over already, or the server cannot be asked or refuses.
    """
    if run.is_over:
        raise KubeflowError(
            f"run {run.run_id} is over already: {run.outcome}; if it was stopped, "
            "`spatialreward runs tidy` ends what it has left behind"
        )
    try:
        client.terminate(run.run_id)
    except (AnswerLost, ServerFault, RequestRefused):
        # It may have been done all the same, by us or by somebody else.
        now = client.run(run.run_id)
        if now.state != State.CANCELING and not now.is_over:
            raise


def retry(client: KubeflowPipelines, run: Run) -> None:
    """Do again what failed or was canceled; steps that succeeded are not done again.

    Raises:
        OutcomeUnknown: the answer got lost, and the run is as it was.
        KubeflowError: it did not fail, or the server cannot be asked or refuses.
    """
    if run.state not in _RETRIABLE:
        raise KubeflowError(
            f"run {run.run_id} is {run.state or 'not begun'}: only a run that failed or was "
            "canceled can be retried"
        )
    try:
        client.retry(run.run_id)
    except AnswerLost as error:
        if client.run(run.run_id).is_over:
            raise OutcomeUnknown(
                f"{error}; whether run {run.run_id} is retried will show in a minute"
            ) from error
