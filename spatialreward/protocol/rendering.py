"""Writes a judgement as the text that a judge answers with: the way back of ``parsing``.

The order of keys is the protocol's: regions first, since a judge that has named them scores better.
"""

import json
from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

from spatialreward.protocol.parsing import PerceptualAnswer, SemanticAnswer

AnswerPart = Literal["regions", "reasoning", "scores"]


class PartStart(NamedTuple):
    """Where a part of an answer begins; it ends where the next one does."""

    part: AnswerPart
    at: int
    """Number of the character."""


_KEYS: tuple[tuple[AnswerPart, str], ...] = (("reasoning", '"reasoning":'), ("scores", '"score":'))


def answer_parts(text: str) -> tuple[PartStart, ...]:
    """The parts of a text that ``render_semantic`` or ``render_perceptual`` wrote, in order.

    A quotation mark inside of a string has a backslash before it, so a key is found as it stands.
    """
    parts = [PartStart(part, text.index(key)) for part, key in _KEYS]
    first, *others = parts
    if text.startswith(_KEYS[0][1], 1):
        return (first._replace(at=0), *others)
    return (PartStart("regions", 0), *parts)


def render_semantic(answer: SemanticAnswer) -> str:
    """The SC stream's text; ``parse_semantic`` reads the same answer from it."""
    regions = [region.model_dump() for region in answer.edit_region]
    return _text(
        edit_region=regions, reasoning=answer.reasoning, score=_written_scores(answer.score)
    )


def render_perceptual(answer: PerceptualAnswer) -> str:
    """The PQ stream's text; ``parse_perceptual`` reads the same answer from it."""
    return _text(reasoning=answer.reasoning, score=_written_scores(answer.score))


def _written_scores(scores: Sequence[float]) -> list[int | float]:
    """Whole numbers as such, which is what prompts ask for and what soft scores are made of."""
    return [int(score) if float(score).is_integer() else score for score in scores]


def _text(**values: Any) -> str:
    # Reasoning stays in its own script: a model is not to learn to write escapes.
    return json.dumps(values, ensure_ascii=False)
