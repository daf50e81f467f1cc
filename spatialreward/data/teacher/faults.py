"""What can go wrong with a teacher's answer, and why a run stops."""

from enum import StrEnum

from spatialreward.chat import faults as chat
from spatialreward.chat.faults import ChatFault
from spatialreward.data.teacher.usage import TeacherUsage
from spatialreward.errors import SpatialRewardError


class Fault(StrEnum):
    """Why a teacher's answer cannot be used."""

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


ASKED_AGAIN = frozenset(Fault) - {Fault.REFUSED}
"""Faults of an answer after which the next question says what was wrong."""

REASON_PREFIX = "teacher: "
"""Begins the reason of every edit that is rejected for want of a usable answer."""
UNANSWERED = frozenset(REASON_PREFIX + fault for fault in chat.UNANSWERED)
"""Reasons of edits that no model has looked at; all edits having them, the server is to blame."""


class TeacherFault(ChatFault):
    """An answer that cannot be used; the caller decides what becomes of it."""


def reason_of(fault: ChatFault) -> str:
    """Reason to reject an edit with, one of a few."""
    return REASON_PREFIX + fault.fault


class TeacherStopped(SpatialRewardError):
    """The run ended before its last edit; started again, it goes on where it was.

    Attributes:
        left: edits that have no result.
        usage: what the run took, edits that have no result left out.
    """

    def __init__(self, message: str) -> None:
        """Keep why; the run fills in ``left`` and ``usage``."""
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
