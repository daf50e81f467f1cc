"""Reasons for dropping rows: a short one for counting, and a detail that helps to fix it."""

from enum import StrEnum
from typing import NamedTuple

from spatialreward.data.edits import Rejected, RowOrigin


class Reason(StrEnum):
    """The filters' reasons; each has its own line in the report."""

    UNREADABLE_PICTURE = "unreadable picture"
    PICTURE_TOO_SMALL = "picture too small"
    PICTURE_TOO_LARGE = "picture too large"
    PICTURE_TOO_LONG = "picture too long for its width"
    NO_INSTRUCTION = "no instruction"
    INSTRUCTION_TOO_LONG = "instruction too long"
    UNUSABLE_INSTRUCTION = "unusable instruction"
    LICENSE = "licence not allowed"
    BOXES_WITHOUT_EVIDENCE = "boxes without pixel evidence"
    UNKNOWN_REGION = "reasoning names an unknown region"
    REGION_LEFT_OUT = "reasoning leaves out a region"
    NO_VERDICT = "reasoning without a verdict"
    CONTRADICTION = "reasoning contradicts scores"
    DEGENERATE_ANSWER = "degenerate answer"
    NOT_VERIFIED = "second pass disagreed"
    REPEATED_ID = "repeated id"
    BENCHMARK_OVERLAP = "overlaps with a benchmark"
    EXACT_DUPLICATE = "exact duplicate"
    NEAR_DUPLICATE = "near duplicate"
    REPEATED_REASONING = "same reasoning as many others"
    OVER_SOURCE_CAP = "more edits of one source than wanted"
    OVER_CELL_CAP = "more of one kind than wanted"


CHOICES = frozenset(
    {
        Reason.LICENSE,
        Reason.REPEATED_ID,
        Reason.BENCHMARK_OVERLAP,
        Reason.EXACT_DUPLICATE,
        Reason.NEAR_DUPLICATE,
        Reason.OVER_SOURCE_CAP,
        Reason.OVER_CELL_CAP,
    }
)
"""Reasons for dropping sound rows; all others, including those from other parts of data building,
are faults, and too many faults stop a run."""


class Finding(NamedTuple):
    """A filter's objection to a row."""

    reason: Reason
    detail: str

    def reject(self, id: str, origin: RowOrigin) -> Rejected:
        """The row's entry in the rejects file."""
        return Rejected(id=id, reason=self.reason, detail=self.detail, origin=origin)
