"""What a failed call says about the server: that another one should be asked, or that none should.

Status codes are those that Triton's gRPC endpoint uses.
"""

import re

from tritonclient.utils import InferenceServerException

from spatialreward.client.errors import RequestRejected, ServingError
from spatialreward.client.rotation import Absence

# What Triton's own queue says, which knows not when there will be room.
_FULL = "exceeds maximum queue size"
# What Triton says of a model that was unloaded, or is being loaded.
_NOT_LOADED = "has no available versions"
_HINT = re.compile(r"retry after (\d+(?:\.\d+)?) ?s", re.IGNORECASE)


class Refusal(Exception):
    """One server did not answer, which says nothing about the others."""

    def __init__(self, absence: Absence, reason: str, hint_s: float | None = None) -> None:
        """Keep why.

        Args:
            absence: in which way it did not answer.
            reason: what it said, or what was seen of it.
            hint_s: how long it asks to be left alone.
        """
        super().__init__(reason)
        self.absence = absence
        self.reason = reason
        self.hint_s = hint_s


def translate(
    error: InferenceServerException, where: str, timeout_s: float
) -> Refusal | ServingError:
    """The error to raise for one of Triton's client.

    Args:
        error: what Triton's client raised.
        where: who was asked for what, as a message begins.
        timeout_s: how long the call was allowed to take.
    """
    reason = " ".join(str(error.message()).split())
    match error.status():
        case "StatusCode.UNAVAILABLE":
            if hint := _HINT.search(reason):
                return Refusal(Absence.BUSY, reason, float(hint[1]))
            if _NOT_LOADED in reason:
                return Refusal(Absence.NO_MODEL, reason)
            is_full = _FULL in reason.lower()
            return Refusal(Absence.BUSY if is_full else Absence.AWAY, reason)
        case "StatusCode.DEADLINE_EXCEEDED":
            return Refusal(Absence.LATE, f"no answer within {timeout_s:.3g} s")
        case "StatusCode.NOT_FOUND":
            return Refusal(Absence.NO_MODEL, reason)
        case "StatusCode.INVALID_ARGUMENT":
            return RequestRejected(f"{where}: {reason}")
        case status:
            return ServingError(f"{where}: {reason or status}")
