"""What can go wrong between a question and its answer, and what is done about each of it."""

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType

from spatialreward.data.teacher.usage import TeacherUsage
from spatialreward.errors import SpatialRewardError


class Fault(StrEnum):
    """Why a teacher's answer is not there or cannot be used."""

    RATE_LIMITED = "rate limited"
    SERVER_ERROR = "server error"
    TIMEOUT = "timeout"
    CONNECTION = "connection failed"
    """Refused, or cut off before the answer was complete."""
    MALFORMED_REPLY = "malformed reply"
    """The server's, not the model's: its body is no chat completion."""

    NOT_JSON = "not JSON"
    WRONG_FIELDS = "wrong fields"
    SCORE_OUT_OF_RANGE = "score out of range"
    UNKNOWN_REGION = "unknown region"
    REGION_LEFT_OUT = "region left out"
    WRONG_LANGUAGE = "wrong language"
    EMPTY = "empty answer"
    CUT_OFF = "answer cut off"

    REFUSED = "refused"
    """By the model, in its own words or in the field for it."""
    CONTENT_FILTER = "content filter"
    REQUEST_REFUSED = "request refused"
    """By the server, as one that it cannot carry out."""


class Remedy(StrEnum):
    """What is done about a fault."""

    SEND_AGAIN = "send again"
    """The same request, after a wait, up to ``max_attempts``."""
    ASK_AGAIN = "ask again"
    """Told what was wrong, up to ``max_answers``."""
    REJECT = "reject"
    """It would be of no use to try again."""


REMEDIES: Mapping[Fault, Remedy] = MappingProxyType(
    {
        Fault.RATE_LIMITED: Remedy.SEND_AGAIN,
        Fault.SERVER_ERROR: Remedy.SEND_AGAIN,
        Fault.TIMEOUT: Remedy.SEND_AGAIN,
        Fault.CONNECTION: Remedy.SEND_AGAIN,
        Fault.MALFORMED_REPLY: Remedy.SEND_AGAIN,
        Fault.NOT_JSON: Remedy.ASK_AGAIN,
        Fault.WRONG_FIELDS: Remedy.ASK_AGAIN,
        Fault.SCORE_OUT_OF_RANGE: Remedy.ASK_AGAIN,
        Fault.UNKNOWN_REGION: Remedy.ASK_AGAIN,
        Fault.REGION_LEFT_OUT: Remedy.ASK_AGAIN,
        Fault.WRONG_LANGUAGE: Remedy.ASK_AGAIN,
        Fault.EMPTY: Remedy.ASK_AGAIN,
        Fault.CUT_OFF: Remedy.ASK_AGAIN,
        Fault.REFUSED: Remedy.REJECT,
        Fault.CONTENT_FILTER: Remedy.REJECT,
        Fault.REQUEST_REFUSED: Remedy.REJECT,
    }
)

REASON_PREFIX = "teacher: "
"""Begins the reason of every edit that is rejected for want of a usable answer."""
UNANSWERED = frozenset(
    REASON_PREFIX + fault
    for fault, remedy in REMEDIES.items()
    if remedy is Remedy.SEND_AGAIN or fault is Fault.REQUEST_REFUSED
)
"""Reasons of edits that no model has looked at; all edits having them, the server is to blame."""


class TeacherFault(Exception):
    """One question has no usable answer; whoever asked decides what becomes of it."""

    def __init__(self, fault: Fault, detail: str, retry_after_s: float | None = None) -> None:
        """Keep why.

        Args:
            fault: what is wrong.
            detail: what exactly, in words that help to mend it.
            retry_after_s: how long the server asks to be left alone.
        """
        super().__init__(f"{fault}: {detail}")
        self.fault = fault
        self.detail = detail
        self.retry_after_s = retry_after_s

    @property
    def reason(self) -> str:
        """Reason to reject an edit with, one of a few."""
        return REASON_PREFIX + self.fault


class TeacherStopped(SpatialRewardError):
    """The run ended before its last edit; started again, it goes on where it was.

    Attributes:
        left: edits that have no result.
        usage: what the run took, edits that have no result left out.
    """

    def __init__(self, message: str) -> None:
        """Keep why; how many are left is known to whoever reads the edits."""
        super().__init__(message)
        self.message = message
        self.left: int | None = None
        self.usage = TeacherUsage()

    def __str__(self) -> str:
        """Why, and how many edits are left."""
        left = "" if self.left is None else f"; {self.left:,} edits left"
        return f"{self.message}{left}"


class BudgetSpent(TeacherStopped):
    """The next answer would cost more than the budget."""


class OutOfTime(TeacherStopped):
    """The run has taken all the time that it may."""


class TeacherAway(TeacherStopped):
    """So many edits in a row got no answer that there is no use in going on."""
