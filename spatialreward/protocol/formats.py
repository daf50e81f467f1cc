"""Formats and score scales of judges' answers: ours, and those of public judges.

A protocol names both. Formats are a closed list; ``public_answers`` parses all but our own.
"""

from enum import StrEnum
from typing import NamedTuple, Self

from pydantic import model_validator

from spatialreward.records import MAX_SCORE, Record, Streams


class AnswerFormat(StrEnum):
    """Format of an answer."""

    JSON = "json"
    """One object a stream, with two scores each."""
    ONE_SCORE = "one_score"
    """Two questions about source and edited picture, each answered by an object with reasoning and
    one score: how far the instruction was carried out, and whether the rest stayed unchanged."""
    TWO_SCORES = "two_scores"
    """As ours without regions: one object a stream with reasoning and two scores, but on the
    protocol's own scale."""
    CRITIQUE = "critique"
    """One question, answered in prose: one section per aspect, with a justification and a score."""
    HEADS = "heads"
    """No text. Two questions about source and edited picture, on instruction and quality, end in a
    token from which a head reads mean and spread of a score."""

    @property
    def shows_source_twice(self) -> bool:
        """Whether the second question shows source and edited picture too."""
        return self in (AnswerFormat.ONE_SCORE, AnswerFormat.HEADS)

    def questions(self, streams: Streams) -> tuple[Streams, ...]:
        """The prompts that cover the given streams; none if the format cannot judge them."""
        both = (Streams.SEMANTIC, Streams.PERCEPTUAL)
        match self:
            case AnswerFormat.CRITIQUE:
                return (Streams.SEMANTIC,)
            case AnswerFormat.ONE_SCORE:
                return () if streams is Streams.PERCEPTUAL else both
        return both if streams is Streams.BOTH else (streams,)


class ScoreScale(Record):
    """The scale of a public judge's scores, mapped linearly to 0..25."""

    lowest: float
    """The lowest valid score."""
    highest: float
    """The highest valid score; it maps to 25."""
    zero: float | None = None
    """The score that maps to 0, where it is below the lowest one; None: the lowest."""

    @model_validator(mode="after")
    def _is_a_range(self) -> Self:
        if not self._zero <= self.lowest < self.highest:
            raise ValueError(
                f"expected zero <= lowest < highest, got {self._zero:g}, {self.lowest:g} and "
                f"{self.highest:g}"
            )
        return self

    @property
    def _zero(self) -> float:
        return self.lowest if self.zero is None else self.zero

    def holds(self, written: float) -> bool:
        """Whether a score is valid; NaN and infinity are not."""
        return self.lowest <= written <= self.highest

    def common(self, written: float) -> float:
        """Convert a written score to the common scale, 0..25."""
        return MAX_SCORE * (written - self._zero) / (self.highest - self._zero)

    def __str__(self) -> str:
        """As ``1..5``, with the score that maps to 0 if it is not the lowest."""
        scale = f"{self.lowest:g}..{self.highest:g}"
        return scale if self._zero == self.lowest else f"{scale}, {self._zero:g} is 0"


OUR_SCALE = ScoreScale(lowest=0.0, highest=MAX_SCORE)
"""0..25, the common scale."""


class Capabilities(NamedTuple):
    """A judge's capabilities, for comparing judges and displaying their answers."""

    predicts_regions: bool
    """Whether it localises the edit."""
    max_sources: int | None
    """Source pictures an edit may have; None: any number."""
    has_quality: bool
    """Whether it scores the quality of the edited picture separately."""

    @property
    def limits(self) -> str:
        """The missing capabilities, in words; empty if none is missing."""
        missing = []
        if not self.predicts_regions:
            missing.append("predicts no regions")
        if self.max_sources is not None:
            pictures = "picture" if self.max_sources == 1 else "pictures"
            missing.append(f"takes {self.max_sources} source {pictures}")
        if not self.has_quality:
            missing.append("does not score quality")
        return ", ".join(missing)
