"""Which run is meant by an id, the beginning of one, or a name."""

import uuid
from collections.abc import Sequence
from itertools import islice

from spatialreward.errors import InvalidInputError
from spatialreward.ops.kubeflow.client import KubeflowPipelines
from spatialreward.ops.kubeflow.errors import KubeflowError, NotFound
from spatialreward.ops.kubeflow.records import RecurringRun, Run

_MOST = 50


def find_run(client: KubeflowPipelines, said: str) -> Run:
    """The run that is meant, with its tasks.

    Raises:
        NotFound: there is none.
        KubeflowError: there are several, which are named; or the server cannot be asked.
        InvalidInputError: nothing was said.
    """
    _make_sure_of(said, "run")
    if _is_id(said):
        return client.run(said)
    having = client.runs(("run_id", "IS_SUBSTRING", said))
    begins = (one for one in having if one.run_id.startswith(said))
    found = {one.run_id: one for one in islice(begins, _MOST)}
    if not found:
        named = client.runs(("display_name", "EQUALS", said), limit=_MOST)
        found = {one.run_id: one for one in named if one.display_name == said}
    return client.run(_only(client, said, list(found), "run", "runs list"))


def find_schedule(client: KubeflowPipelines, said: str) -> RecurringRun:
    """The schedule that is meant.

    Raises:
        NotFound: there is none.
        KubeflowError: there are several, which are named; or the server cannot be asked.
        InvalidInputError: nothing was said.
    """
    _make_sure_of(said, "schedule")
    every = list(client.schedules())
    for meant in (
        [one for one in every if one.recurring_run_id.startswith(said)],
        [one for one in every if one.display_name == said],
    ):
        if meant:
            known = {one.recurring_run_id: one for one in meant}
            return known[_only(client, said, list(known), "schedule", "runs schedules")]
    raise _no_such(client, said, "schedule", "runs schedules")


def _make_sure_of(said: str, what: str) -> None:
    # Every id begins with nothing: of a variable that is not set, the only run would be canceled.
    if not said.strip():
        raise InvalidInputError(f"which {what}? expected an id, the beginning of one, or a name")


def _only(
    client: KubeflowPipelines, said: str, found: Sequence[str], what: str, command: str
) -> str:
    if not found:
        raise _no_such(client, said, what, command)
    if len(found) > 1:
        raise KubeflowError(
            f"{said}: more than one {what} is meant ({', '.join(sorted(found)[:_MOST])}); "
            "give more of the id"
        )
    return found[0]


def _no_such(client: KubeflowPipelines, said: str, what: str, command: str) -> NotFound:
    return NotFound(
        f"{client.server} has no {what} whose id begins with {said!r} or whose name it is; "
        f"see `spatialreward {command}`"
    )


def _is_id(said: str) -> bool:
    try:
        return str(uuid.UUID(said)) == said
    except ValueError:
        return False
