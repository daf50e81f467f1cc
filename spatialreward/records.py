"""What the parts of the system hand each other. Frozen, closed, and free of torch."""

from enum import StrEnum
from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

MAX_SCORE = 25.0
BOX_SCALE = 1000

Score = Annotated[float, Field(ge=0.0, le=MAX_SCORE, allow_inf_nan=False)]
Coordinate = Annotated[int, Field(ge=0, le=BOX_SCALE)]


class Record(BaseModel):
    """Base of all records: immutable, and an unknown field is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


class EditRegion(Record):
    """One box in which the edited picture differs from its source."""

    id: int = Field(ge=0)
    """Number that ``<|bbox_id|>`` in the reasoning refers to."""
    label: str
    """What the region holds, in a few words."""
    bbox_2d: tuple[Coordinate, Coordinate, Coordinate, Coordinate]
    """``x1, y1, x2, y2``, normalised to 0..1000 of the edited picture's width and height."""

    @model_validator(mode="after")
    def _has_area(self) -> Self:
        x1, y1, x2, y2 = self.bbox_2d
        if x2 <= x1 or y2 <= y1:
            raise ValueError(f"region {self.id}: expected x1 < x2 and y1 < y2, got {self.bbox_2d}")
        return self


class Scores(Record):
    """The four scores of a judgement, each 0..25 with 25 best."""

    editing_success: Score
    """Was the instruction carried out?"""
    over_editing: Score
    """Is everything else left alone? 25: nothing beyond the instruction was changed."""
    naturalness: Score
    """Does the edited picture look natural?"""
    artifact_freedom: Score
    """25: no visible artifacts."""


class JudgementStatus(StrEnum):
    """Whether a judgement may be used."""

    OK = "ok"
    FAILED = "failed"


class Judgement(Record):
    """A judge's verdict on one edit, or the reason why there is none.

    A failed judgement carries no scores and no reward, so no caller can mistake it for a score.
    """

    status: JudgementStatus
    regions: tuple[EditRegion, ...] = ()
    sc_reasoning: str = ""
    pq_reasoning: str = ""
    scores: Scores | None = None
    """The four scores as the judge wrote them."""
    soft_scores: Scores | None = None
    """Probability-weighted means over the score tokens, where the judge's engine can tell them."""
    reward: Annotated[float, Field(ge=0.0, le=1.0)] | None = None
    """Aggregated from the soft scores where there are any, else from ``scores``."""
    reason: str = ""
    """Why the judgement failed; empty when it did not."""

    @model_validator(mode="after")
    def _scores_if_and_only_if_ok(self) -> Self:
        if self.status is JudgementStatus.OK:
            if self.scores is None or self.reward is None or self.reason:
                raise ValueError("an ok judgement has scores and a reward, and no reason")
        elif self.scores or self.soft_scores or self.reward is not None or not self.reason:
            raise ValueError("a failed judgement has a reason, and neither scores nor a reward")
        return self
