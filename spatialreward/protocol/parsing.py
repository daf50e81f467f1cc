"""Reads the JSON a judge answers with; an answer that cannot be read is an error, never a score."""

import re
from typing import Self, TypeVar

from pydantic import ValidationError, model_validator

from spatialreward.errors import InvalidInputError, JudgementError
from spatialreward.reading import first_json
from spatialreward.records import EditRegion, Record, Score, Text

_REGION_REFERENCE = re.compile(r"<\|bbox_(\d+)\|>")
_MOST_DIGITS = 19
"""Of a region's id, which fits 64 bits."""
ScorePair = tuple[Score, Score]


class PerceptualAnswer(Record):
    """The PQ stream's answer: ``score`` is [naturalness, freedom from artifacts]."""

    reasoning: Text
    score: ScorePair


class SemanticAnswer(Record):
    """The SC stream's answer: ``score`` is [editing success, degree of over-editing]."""

    edit_region: tuple[EditRegion, ...]
    reasoning: Text
    score: ScorePair

    @model_validator(mode="after")
    def _reasoning_names_known_regions(self) -> Self:
        ids = [region.id for region in self.edit_region]
        if len(set(ids)) != len(ids):
            raise ValueError(f"edit_region: ids are not unique: {ids}")
        named = _REGION_REFERENCE.findall(self.reasoning)
        if longest := max((name for name in named if len(name) > _MOST_DIGITS), default=None):
            raise ValueError(f"reasoning names a region by a number of {len(longest)} digits")
        unknown = {int(number) for number in named} - set(ids)
        if unknown:
            raise ValueError(f"reasoning names regions that do not exist: {sorted(unknown)}")
        return self


Answer = TypeVar("Answer", SemanticAnswer, PerceptualAnswer)


def parse_semantic(text: str) -> SemanticAnswer:
    """Parse the SC stream's text.

    Raises:
        JudgementError: the text is no JSON object, or one that is no semantic answer.
    """
    return _parse(text, SemanticAnswer)


def parse_perceptual(text: str) -> PerceptualAnswer:
    """Parse the PQ stream's text.

    Raises:
        JudgementError: the text is no JSON object, or one that is no perceptual answer.
    """
    return _parse(text, PerceptualAnswer)


def _parse(text: str, answer: type[Answer]) -> Answer:
    try:
        # Strictly the first object: what a model writes after its closing brace is not its answer.
        value = first_json(text, max(text.find("{"), 0))
    except InvalidInputError as error:
        raise JudgementError(f"answer {error}; it begins {text[:80]!r}") from error
    try:
        return answer.model_validate(value)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "answer"
        raise JudgementError(f"{where}: {first['msg']}") from error
