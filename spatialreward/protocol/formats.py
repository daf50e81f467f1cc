"""How a judge's answer is written, and on which scale its scores are: ours, or a public judge's.

A protocol names both. Formats are a closed list; each but our own has its reader in
``public_answers``.
"""

from enum import StrEnum
from typing import NamedTuple, Self

from pydantic import model_validator

from spatialreward.records import MAX_SCORE, Record, Streams


class AnswerFormat(StrEnum):
    """How an answer is written."""

    JSON = "json"
    """An object a stream, with two scores each."""
    ONE_SCORE = "one_score"
    """Two questions about source and edited picture, each answered by an object with reasoning and
    one score: how far the instruction was carried out, and whether the rest was left alone."""
    TWO_SCORES = "two_scores"
    """As ours without regions, an object a stream with reasoning and two scores, but on the
    protocol's own scale."""
    CRITIQUE = "critique"
    """One question, answered in words: a section an aspect, with a justification and a score."""
    HEADS = "heads"
    """Nothing is written. Two questions about source and edited picture end in a token behind which
    a head reads mean and spread of a score: of the instruction, and of the quality."""

    @property
    def shows_source_twice(self) -> bool:
        """Whether the second question is about source and edited picture, as the first one is."""
        return self in (AnswerFormat.ONE_SCORE, AnswerFormat.HEADS)

    def questions(self, streams: Streams) -> tuple[Streams, ...]:
        """Which of a protocol's two prompts are asked for some streams; none: it cannot tell."""
        both = (Streams.SEMANTIC, Streams.PERCEPTUAL)
        match self:
            case AnswerFormat.CRITIQUE:
                return (Streams.SEMANTIC,)
            case AnswerFormat.ONE_SCORE:
                return () if streams is Streams.PERCEPTUAL else both
        return both if streams is Streams.BOTH else (streams,)


class ScoreScale(Record):
    """The scale on which a public judge writes its scores, and how it becomes 0..25: linearly."""

    lowest: float
    """The lowest score that may be written."""
    highest: float
    """The highest one; it becomes 25."""
    zero: float | None = None
    """The score that becomes 0, where that is below the lowest one; None: the lowest."""

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
        """Whether a judge may write a score; NaN and infinity are none."""
        return self.lowest <= written <= self.highest

    def common(self, written: float) -> float:
        """A written score on the scale of all judges, 0..25."""
        return MAX_SCORE * (written - self._zero) / (self.highest - self._zero)

    def __str__(self) -> str:
        """As ``1..5``, and which score is 0 of 25 if not the lowest."""
        told = f"{self.lowest:g}..{self.highest:g}"
        return told if self._zero == self.lowest else f"{told}, {self._zero:g} is 0"


OUR_SCALE = ScoreScale(lowest=0.0, highest=MAX_SCORE)
"""0..25, as it is."""


class Capabilities(NamedTuple):
    """What a judge can do, for whoever compares judges or shows their answers."""

    predicts_regions: bool
    """Whether it says where the edit happened."""
    max_sources: int | None
    """Source pictures an edit may have; None: any number."""
    has_quality: bool
    """Whether it scores the quality of the edited picture apart from the edit."""

    @property
    def limits(self) -> str:
        """What it cannot do, in words; empty if nothing is missing."""
        told = []
        if not self.predicts_regions:
            told.append("predicts no regions")
        if self.max_sources is not None:
            pictures = "picture" if self.max_sources == 1 else "pictures"
            told.append(f"takes {self.max_sources} source {pictures}")
        if not self.has_quality:
            told.append("does not score quality")
        return ", ".join(told)
