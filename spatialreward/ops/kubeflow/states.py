"""States, times and errors of what the generated client reads from the server."""

import datetime
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kfp_server_api import GoogleRpcStatus, V2beta1RuntimeStatus

OVER = frozenset({"SUCCEEDED", "SKIPPED", "FAILED", "CANCELED"})


class Stateful(Protocol):
    """A run, or a task of one."""

    state: str | None
    state_history: "Sequence[V2beta1RuntimeStatus] | None"
    error: "GoogleRpcStatus | None"


def printable(text: str) -> str:
    """Text of a server, without characters that control a terminal."""
    return "".join(letter if letter.isprintable() else " " for letter in text)


def state_of(one: Stateful) -> str:
    """A state; empty where the server gives none. A newer server may have states of its own."""
    return "" if one.state in (None, "RUNTIME_STATE_UNSPECIFIED") else printable(one.state)


def outcome(run: Stateful) -> str:
    """A run's state; the server calls a canceled run failed, though its history has it."""
    history = [state_of(one) for one in run.state_history or ()]
    at_work = [state for state in history if state and state not in OVER]
    # A run may have been canceled once, and have failed when it was retried.
    was_canceled = at_work[-1:] == ["CANCELING"]
    return "CANCELED" if run.state == "FAILED" and was_canceled else state_of(run)


def failure(one: Stateful) -> str:
    """The last reason of a failure, in one line; empty if the server gives none."""
    errors = [one.error, *(then.error for then in reversed(one.state_history or ()))]
    said = next((error.message for error in errors if error and error.message), "")
    return " ".join(printable(said).split())


def moment(time: datetime.datetime | None) -> datetime.datetime | None:
    """A time; None for the beginnings of time that the server sends for "not yet"."""
    return None if time is None or time.year <= 1970 else time
