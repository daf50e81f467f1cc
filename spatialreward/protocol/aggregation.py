"""Aggregates four scores into one reward (SpatialReward, arXiv 2602.07458)."""

import math
from typing import Literal, Self

from pydantic import Field, model_validator

from spatialreward.records import MAX_SCORE, Record, Scores

_TO_TEN = 10.0 / MAX_SCORE


class Aggregation(Record):
    """How scores become a reward; the defaults are the paper's weighted geometric mean."""

    form: Literal["geometric", "min", "modulated"] = "geometric"
    """``min`` takes the lower score of each stream and their geometric mean, without weights.
    ``modulated`` scales the editing success by how much else was left unchanged."""
    editing_success: float = Field(0.6, ge=0, le=1)
    over_editing: float = Field(0.4, ge=0, le=1)
    naturalness: float = Field(0.5, ge=0, le=1)
    artifact_freedom: float = Field(0.5, ge=0, le=1)
    sc_exponent: float = Field(0.8, ge=0, le=1)
    """Share of semantic consistency; the rest is perceptual quality."""

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
        """Overall score in 0..10; for one stream alone, that stream's part.

        Geometric: ``SC**a * PQ**(1 - a)``, each a weighted mean in 0..10. Min:
        ``sqrt(min(s1, s2) * min(s3, s4)) / 2.5``. Modulated: as geometric, with
        ``SC = s1 * (w1 + w2 * s2 / 25) / 2.5`` (FIRM, arXiv 2603.12247).
        """
        sc = self._semantic(scores)
        pq = self._of_stream(
            (self.naturalness, scores.naturalness), (self.artifact_freedom, scores.artifact_freedom)
        )
        if sc is None or pq is None:
            return (pq or 0.0) if sc is None else sc
        if self.form == "min":
            return math.sqrt(sc * pq)
        return sc**self.sc_exponent * pq ** (1.0 - self.sc_exponent)

    def _semantic(self, scores: Scores) -> float | None:
        if self.form == "modulated" and scores.editing_success is not None:
            kept = (scores.over_editing or 0.0) / MAX_SCORE
            share = self.editing_success + self.over_editing * kept
            return scores.editing_success * _TO_TEN * share
        return self._of_stream(
            (self.editing_success, scores.editing_success), (self.over_editing, scores.over_editing)
        )

    def _of_stream(self, *weighted: tuple[float, float | None]) -> float | None:
        """One stream's score in 0..10; None if it was not requested."""
        scores = [score for _, score in weighted if score is not None]
        if len(scores) < len(weighted):
            return None
        if self.form == "min":
            return min(scores) * _TO_TEN
        weights = [weight for weight, _ in weighted]
        return sum(w * score for w, score in zip(weights, scores, strict=True)) * _TO_TEN

    def reward(self, scores: Scores) -> float:
        """Reward in [0, 1]: a tenth of the overall score."""
        return min(1.0, self.overall(scores) / 10.0)
