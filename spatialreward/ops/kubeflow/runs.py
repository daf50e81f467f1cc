"""A run or a schedule by what the user says; following, canceling and retrying a run."""

import time
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from typing import TYPE_CHECKING

from spatialreward.errors import InvalidInputError
from spatialreward.ops.kubeflow.errors import (
    AnswerLost,
    KubeflowError,
    NotFound,
    OutcomeUnknown,
    RequestRefused,
    ServerFault,
    ServerUnreachable,
)
from spatialreward.ops.kubeflow.package import Step, steps_of
from spatialreward.ops.kubeflow.states import OVER, outcome

if TYPE_CHECKING:
    from spatialreward.ops.kubeflow.client import KubeflowPipelines, RecurringRun, Run

PATIENCE_S = 900.0
"""How long a server may be away: a restart, a rollout, a broken port-forward."""
_MOST = 50


def find_run(client: "KubeflowPipelines", said: str) -> "Run":
    """The run of an id, the beginning of one, or a name, with its tasks.

    Raises:
        NotFound: there is none.
        KubeflowError: there are several, which are named; or the server cannot be asked.
        InvalidInputError: nothing was said.
    """
    _expect(said, "run")
    having = client.list_runs("IS_SUBSTRING", run_id=said)
    found = list(islice((one for one in having if one.run_id.startswith(said)), _MOST))
    if not found:
        named = islice(client.list_runs(display_name=said), _MOST)
        found = [one for one in named if one.display_name == said]
    ids = [one.run_id for one in found]
    return client.run(_only(client, said, ids, "run", "runs list"))


def find_schedule(client: "KubeflowPipelines", said: str) -> "RecurringRun":
    """The schedule of an id, the beginning of one, or a name.

    Raises:
        NotFound: there is none.
        KubeflowError: there are several, which are named; or the server cannot be asked.
        InvalidInputError: nothing was said.
    """
    _expect(said, "schedule")
    every = {one.recurring_run_id: one for one in client.list_schedules()}
    ids = [key for key in every if key.startswith(said)]
    ids = ids or [key for key, one in every.items() if one.display_name == said]
    return every[_only(client, said, ids, "schedule", "runs schedules")]


def _expect(said: str, what: str) -> None:
    # Every id begins with nothing: for a variable that is not set, the only run would be canceled.
    if not said.strip():
        raise InvalidInputError(f"which {what}? expected an id, the beginning of one, or a name")


def _only(
    client: "KubeflowPipelines", said: str, ids: Sequence[str], what: str, command: str
) -> str:
    if not ids:
        raise NotFound(
            f"{client.server} has no {what} whose id begins with {said!r} or whose name it is; "
            f"see `spatialreward {command}`"
        )
    if len(ids) > 1:
        raise KubeflowError(
            f"{said}: more than one {what} is meant ({', '.join(sorted(ids))}); give more of the id"
        )
    return ids[0]


def steps_of_run(client: "KubeflowPipelines", run: "Run") -> list[Step]:
    """The steps of a run's pipeline; empty where the server does not hand it out."""
    spec, reference = run.pipeline_spec, run.pipeline_version_reference
    if spec is None and reference is not None and reference.pipeline_version_id:
        try:
            spec = client.pipelines.pipeline_service_get_pipeline_version(
                reference.pipeline_id, reference.pipeline_version_id
            ).pipeline_spec
        except KubeflowError:
            # The version may be deleted, or belong to another team: the run is shown all the same.
            return []
    return steps_of(spec or {})


def follow(
    client: "KubeflowPipelines",
    run_id: str,
    every_s: float,
    on_silence: Callable[[KubeflowError], object],
    patience_s: float = PATIENCE_S,
    clock: Callable[[], float] = time.monotonic,
) -> "Iterator[Run]":
    """Look at a run until its end; yields each answer, at last that of its end.

    Args:
        client: of the server.
        run_id: of the run.
        every_s: waits between looks.
        on_silence: gets the reason, each time that the server does not answer.
        patience_s: how long it may not answer, from the first time that it does not.
        clock: gives seconds.

    Raises:
        KubeflowError: the server refuses, or was away too long. The run goes on.
    """
    silent_since: float | None = None
    while True:
        try:
            run = client.run(run_id)
        except (ServerUnreachable, AnswerLost, ServerFault) as error:
            now = clock()
            silent_since = now if silent_since is None else silent_since
            if now - silent_since >= patience_s:
                raise
            on_silence(error)
        else:
            silent_since = None
            yield run
            if run.state in OVER:
                return
        client.sleep(every_s)


def cancel(client: "KubeflowPipelines", run: "Run") -> None:
    """Cancel a run; its pods end a little later.

    Raises:
        KubeflowError: it is over already, or the server cannot be asked or refuses.
    """
    if run.state in OVER:
        raise KubeflowError(
            f"run {run.run_id} is over already: {outcome(run)}; if it was stopped, "
            "`spatialreward runs tidy` ends its leftovers"
        )
    try:
        client.runs.run_service_terminate_run(run.run_id)
    except (AnswerLost, ServerFault, RequestRefused):
        # It may be canceled all the same, by this request or by another one.
        if client.run(run.run_id).state not in (*OVER, "CANCELING"):
            raise


def retry(client: "KubeflowPipelines", run: "Run") -> None:
    """Re-run the steps that failed or were canceled; those that succeeded stay.

    Raises:
        OutcomeUnknown: the answer was lost, and the run is as it was.
        KubeflowError: it did not fail, or the server cannot be asked or refuses.
    """
    if run.state not in ("FAILED", "CANCELED"):
        raise KubeflowError(
            f"run {run.run_id} is {outcome(run) or 'not begun'}: only a run that failed or was "
            "canceled can be retried"
        )
    try:
        client.runs.run_service_retry_run(run.run_id)
    except AnswerLost as error:
        if client.run(run.run_id).state in OVER:
            raise OutcomeUnknown(
                f"{error}; whether run {run.run_id} is retried will show in a minute"
            ) from error
