"""From four scores to one reward (SpatialReward, arXiv 2602.07458)."""

import math
from typing import Self

from pydantic import Field, model_validator

from spatialreward.records import MAX_SCORE, Record, Scores


class Aggregation(Record):
    """Weights of the weighted geometric mean; the defaults are the paper's."""

    editing_success: float = Field(0.6, ge=0, le=1)
    over_editing: float = Field(0.4, ge=0, le=1)
    naturalness: float = Field(0.5, ge=0, le=1)
    artifact_freedom: float = Field(0.5, ge=0, le=1)
    sc_exponent: float = Field(0.8, ge=0, le=1)
    """Share of semantic consistency; perceptual quality has the rest."""

    @model_validator(mode="after")
    def _weights_sum_to_one(self) -> Self:
        for stream, total in (
            ("editing_success + over_editing", self.editing_success + self.over_editing),
            ("naturalness + artifact_freedom", self.naturalness + self.artifact_freedom),
        ):
            if not math.isclose(total, 1.0):
                raise ValueError(f"{stream}: expected weights that sum to 1, got {total:g}")
        return self

    def overall(self, scores: Scores) -> float:
        """Overall score in 0..10: ``SC**a * PQ**(1 - a)``, each a weighted mean in 0..10.

        Of one stream alone it is that stream's mean.
        """
        to_ten = 10.0 / MAX_SCORE
        sc = _mean(
            (self.editing_success, scores.editing_success), (self.over_editing, scores.over_editing)
        )
        pq = _mean(
            (self.naturalness, scores.naturalness), (self.artifact_freedom, scores.artifact_freedom)
        )
        if sc is None or pq is None:
            return to_ten * (pq if sc is None else sc)
        return (sc * to_ten) ** self.sc_exponent * (pq * to_ten) ** (1.0 - self.sc_exponent)

    def reward(self, scores: Scores) -> float:
        """Reward in [0, 1]: a tenth of the overall score."""
        return min(1.0, self.overall(scores) / 10.0)


def _mean(*weighted: tuple[float, float | None]) -> float | None:
    if any(score is None for _, score in weighted):
        return None
    return sum(weight * score for weight, score in weighted)


def overall_min(scores: Scores) -> float:
    """Overall score in 0..10, min form: ``sqrt(min(s1, s2) * min(s3, s4)) / 2.5``.

    Raises:
        ValueError: one stream was not asked.
    """
    values = (
        scores.editing_success,
        scores.over_editing,
        scores.naturalness,
        scores.artifact_freedom,
    )
    if None in values:
        raise ValueError("the min form needs the scores of both streams")
    return math.sqrt(min(values[:2]) * min(values[2:])) / 2.5
