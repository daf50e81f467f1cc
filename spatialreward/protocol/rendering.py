"""Renders a judgement as the text of a judge's answer: the inverse of ``parsing``.

Keys keep the protocol's order: regions first, because a judge scores better after naming them.
Keys that the protocol's form does not have are omitted.
"""

import json
from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

from spatialreward.protocol.parsing import PerceptualAnswer, SemanticAnswer
from spatialreward.records import AnswerForm

AnswerPart = Literal["regions", "reasoning", "scores"]


class PartStart(NamedTuple):
    """Start of a part of an answer; it ends where the next one starts."""

    part: AnswerPart
    at: int
    """Index of the character."""


_KEYS: tuple[tuple[AnswerPart, str], ...] = (
    ("regions", '"edit_region":'),
    ("reasoning", '"reasoning":'),
    ("scores", '"score":'),
)


def answer_parts(text: str) -> tuple[PartStart, ...]:
    """The parts of a text from ``render_semantic`` or ``render_perceptual``, in order.

    A quotation mark inside a string is escaped, so a plain search finds each key.
    """
    first, *others = (PartStart(part, text.index(key)) for part, key in _KEYS if key in text)
    # The opening brace belongs to the first part.
    return (first._replace(at=0), *others)


def render_semantic(answer: SemanticAnswer, form: AnswerForm = AnswerForm.REGIONS) -> str:
    """The SC stream's text; ``parse_semantic`` reads ``answer.in_form(form)`` from it."""
    answered = answer.in_form(form)
    regions = {"edit_region": [region.model_dump() for region in answered.edit_region]}
    return _text(answered, form, regions if form.has_regions else {})


def render_perceptual(answer: PerceptualAnswer, form: AnswerForm = AnswerForm.REGIONS) -> str:
    """The PQ stream's text; ``parse_perceptual`` reads ``answer.in_form(form)`` from it."""
    return _text(answer.in_form(form), form, {})


def _text(
    answer: SemanticAnswer | PerceptualAnswer, form: AnswerForm, values: dict[str, Any]
) -> str:
    if form.has_reasoning:
        values = values | {"reasoning": answer.reasoning}
    values = values | {"score": _written_scores(answer.score)}
    # Keep the original script: a model must not learn to write escapes.
    return json.dumps(values, ensure_ascii=False)


def _written_scores(scores: Sequence[float]) -> list[int | float]:
    """Whole numbers without a decimal point, as prompts request and soft scores expect."""
    return [int(score) if float(score).is_integer() else score for score in scores]
