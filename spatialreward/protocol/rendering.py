"""Writes a judgement as the text that a judge answers with: the way back of ``parsing``.

The order of keys is the protocol's: regions first, since a judge that has named them scores better.
Keys that the protocol's form does not have are left out.
"""

import json
from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

from spatialreward.protocol.parsing import PerceptualAnswer, SemanticAnswer
from spatialreward.records import AnswerForm

AnswerPart = Literal["regions", "reasoning", "scores"]


class PartStart(NamedTuple):
    """Where a part of an answer begins; it ends where the next one does."""

    part: AnswerPart
    at: int
    """Number of the character."""


_KEYS: tuple[tuple[AnswerPart, str], ...] = (
    ("regions", '"edit_region":'),
    ("reasoning", '"reasoning":'),
    ("scores", '"score":'),
)


def answer_parts(text: str) -> tuple[PartStart, ...]:
    """The parts of a text that ``render_semantic`` or ``render_perceptual`` wrote, in order.

    A quotation mark inside of a string has a backslash before it, so a key is found as it stands.
    """
    first, *others = (PartStart(part, text.index(key)) for part, key in _KEYS if key in text)
    # What opens the object belongs to its first part.
    return (first._replace(at=0), *others)


def render_semantic(answer: SemanticAnswer, form: AnswerForm = AnswerForm.REGIONS) -> str:
    """The SC stream's text; ``parse_semantic`` reads ``answer.in_form(form)`` from it."""
    told = answer.in_form(form)
    regions = {"edit_region": [region.model_dump() for region in told.edit_region]}
    return _text(told, form, regions if form.has_regions else {})


def render_perceptual(answer: PerceptualAnswer, form: AnswerForm = AnswerForm.REGIONS) -> str:
    """The PQ stream's text; ``parse_perceptual`` reads ``answer.in_form(form)`` from it."""
    return _text(answer.in_form(form), form, {})


def _text(
    answer: SemanticAnswer | PerceptualAnswer, form: AnswerForm, values: dict[str, Any]
) -> str:
    if form.has_reasoning:
        values = values | {"reasoning": answer.reasoning}
    values = values | {"score": _written_scores(answer.score)}
    # Reasoning stays in its own script: a model is not to learn to write escapes.
    return json.dumps(values, ensure_ascii=False)


def _written_scores(scores: Sequence[float]) -> list[int | float]:
    """Whole numbers as such, which is what prompts ask for and what soft scores are made of."""
    return [int(score) if float(score).is_integer() else score for score in scores]
