"""Parses the JSON of a judge's answer; an unreadable answer is an error, never a score.

The answer is the text after the thinking, in the protocol's form. Frequent formal errors are
repaired where the protocol allows it, and the result names each repair.
``spatialreward.protocol.rendering`` is the inverse.
"""

import re
from collections.abc import Collection, Mapping, Sequence
from types import MappingProxyType
from typing import Annotated, Any, Self, TypeVar

from pydantic import Field, ValidationError, model_validator

from spatialreward.errors import Failure, InvalidInputError, JudgementError
from spatialreward.protocol import mending
from spatialreward.protocol.prose import without_marks
from spatialreward.protocol.scanning import THOUGHT_BEGINS, THOUGHT_ENDS, AnswerScanner
from spatialreward.records import MAX_SCORE, AnswerForm, EditRegion, Mending, Record, Text

ALL_MENDINGS = tuple(Mending)

_REGION_REFERENCE = re.compile(r"<\|bbox_([0-9]+)\|>")
_MOST_DIGITS = 19
"""Longest id of a region; fits 64 bits."""
_FAILURE_WITHOUT: Mapping[Mending, Failure] = MappingProxyType(
    {
        Mending.UNKNOWN_KEY: Failure.WRONG_FORM,
        Mending.QUOTED_NUMBER: Failure.WRONG_FORM,
        Mending.FRACTIONAL_BOX: Failure.WRONG_REGIONS,
        Mending.CLIPPED_BOX: Failure.WRONG_REGIONS,
        Mending.EMPTY_REGION: Failure.WRONG_REGIONS,
        Mending.REPEATED_REGION_ID: Failure.WRONG_REGIONS,
        Mending.UNKNOWN_REGION: Failure.WRONG_REGIONS,
    }
)
_OUT_OF_RANGE = ("greater_than_equal", "less_than_equal", "finite_number")

WrittenScore = Annotated[float, Field(ge=0.0, le=MAX_SCORE, allow_inf_nan=False, strict=True)]
ScorePair = tuple[WrittenScore, WrittenScore]


class PerceptualAnswer(Record):
    """The PQ stream's answer: ``score`` is [naturalness, freedom from artifacts]."""

    reasoning: Text
    score: ScorePair
    mended: tuple[Mending, ...] = Field((), exclude=True)
    """Repairs made before parsing."""

    def in_form(self, form: AnswerForm) -> Self:
        """The part of the answer that a form has; scores alone have no reasoning."""
        return self if form.has_reasoning else self.model_copy(update={"reasoning": ""})


class SemanticAnswer(Record):
    """The SC stream's answer: ``score`` is [editing success, degree of over-editing].

    Fields that the protocol's form does not have are empty.
    """

    edit_region: tuple[EditRegion, ...]
    reasoning: Text
    score: ScorePair
    mended: tuple[Mending, ...] = Field((), exclude=True)
    """Repairs made before parsing."""

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

    def in_form(self, form: AnswerForm) -> Self:
        """The part of the answer that a form has; without regions the reasoning is plain prose."""
        if form.has_regions:
            return self
        labels = {region.id: region.label for region in self.edit_region}
        reasoning = without_marks(self.reasoning, labels) if form.has_reasoning else ""
        return self.model_copy(update={"edit_region": (), "reasoning": reasoning})


Answer = TypeVar("Answer", SemanticAnswer, PerceptualAnswer)


def parse_semantic(
    text: str,
    allowed: Collection[Mending] = ALL_MENDINGS,
    form: AnswerForm = AnswerForm.REGIONS,
) -> SemanticAnswer:
    """Parse the SC stream's text.

    Args:
        text: the whole text, with any thought before the answer.
        allowed: the permitted repairs.
        form: the required form; an answer in another form is an error.

    Raises:
        JudgementError: the text is not a semantic answer; carries the kind of failure.
    """
    return _parse(text, SemanticAnswer, allowed, form)


def parse_perceptual(
    text: str,
    allowed: Collection[Mending] = ALL_MENDINGS,
    form: AnswerForm = AnswerForm.REGIONS,
) -> PerceptualAnswer:
    """Parse the PQ stream's text; as ``parse_semantic``."""
    return _parse(text, PerceptualAnswer, allowed, form)


def _parse(
    text: str, answer: type[Answer], allowed: Collection[Mending], form: AnswerForm
) -> Answer:
    mended: mending.Mended = set()
    found = answer_value(text, mended)
    absent = _absent_from(form, answer)
    if foreign := [key for key in absent if key in found]:
        raise JudgementError(
            f"{foreign[0]}: the form {form} has none; the model answers in another form than its "
            "protocol asks for",
            Failure.WRONG_FORM,
        )
    value = _mended(found | absent, answer, mended)
    for one in Mending:
        if one in mended and one not in allowed:
            failure = _FAILURE_WITHOUT.get(one, Failure.NOT_JSON)
            raise JudgementError(f"answer needs mending ({one}), which is not allowed", failure)
    try:
        return answer.model_validate(
            value | {"mended": tuple(one for one in Mending if one in mended)}
        )
    except ValidationError as error:
        raise _error_of(error) from error


def _absent_from(form: AnswerForm, answer: type[Answer]) -> dict[str, Any]:
    """The keys that a form does not have, with their empty values."""
    absent: dict[str, Any] = {}
    if not form.has_regions and answer is SemanticAnswer:
        absent["edit_region"] = []
    if not form.has_reasoning:
        absent["reasoning"] = ""
    return absent


def answer_value(text: str, mended: mending.Mended, begins: str = "{") -> Any:
    """The JSON value after the thinking, of any form.

    Args:
        text: the whole text, with any thought before the answer.
        mended: collects the names of the repairs.
        begins: the allowed opening brackets, ``{`` or ``{[``.

    Raises:
        JudgementError: it is missing (``CUT_OFF``, ``NO_ANSWER``) or not JSON (``NOT_JSON``).
    """
    scanner = _scanned(text, begins)
    if scanner.thinking:
        raise JudgementError("the answer ends within a thought", Failure.CUT_OFF)
    if scanner.begin is None:
        raise JudgementError(
            f"answer is not JSON: it holds no object; it begins {text[:80]!r}", Failure.NO_ANSWER
        )
    _note_surroundings(scanner, mended)
    try:
        return mending.read_object(scanner.text[scanner.begin : scanner.end], mended)
    except InvalidInputError as error:
        reason = f"answer {error}; it begins {text[:80]!r}"
        raise JudgementError(reason, Failure.NOT_JSON) from error


def _scanned(text: str, begins: str) -> AnswerScanner:
    scanner = AnswerScanner(begins=begins)
    scanner.read(text)
    thought_ends = text.find(THOUGHT_ENDS)
    # Some templates open the thought in the prompt; the answer then has only its end.
    is_within = scanner.end is not None and (scanner.begin or 0) < thought_ends < scanner.end
    if thought_ends < 0 or THOUGHT_BEGINS in text[:thought_ends] or is_within:
        return scanner
    scanner = AnswerScanner(thinking=True, begins=begins)
    scanner.read(text)
    return scanner


def _note_surroundings(scanner: AnswerScanner, mended: mending.Mended) -> None:
    before, after = scanner.text[: scanner.begin], scanner.text[scanner.end or len(scanner.text) :]
    thought, ends, words = before.rpartition(THOUGHT_ENDS)
    if ends:
        mended.add(Mending.THOUGHT)
        words += thought.partition(THOUGHT_BEGINS)[0] if THOUGHT_BEGINS in thought else ""
    if scanner.is_doubled:
        mended.add(Mending.DOUBLED_BRACES)
        words = words.replace("{", "")
        after = after.lstrip().removeprefix("}")
    if words.strip() or after.strip():
        mended.add(Mending.WORDS_AROUND)


def _mended(value: Any, answer: type[Answer], mended: mending.Mended) -> dict[str, Any]:
    keys = [name for name in answer.model_fields if name != "mended"]
    known = mending.known_keys(value, keys, mended)
    if isinstance(scores := known.get("score"), list):
        known["score"] = [mending.unquoted_score(score, mended) for score in scores]
    regions = known.get("edit_region")
    if isinstance(regions, list) and all(isinstance(region, dict) for region in regions):
        known["edit_region"] = kept = _mended_regions(regions, mended)
        ids = {region["id"] for region in kept if type(region.get("id")) is int}
        if isinstance(reasoning := known.get("reasoning"), str) and len(ids) == len(kept):
            known["reasoning"] = mending.without_unknown_references(reasoning, ids, mended)
    return known


def _mended_regions(
    regions: Sequence[dict[str, Any]], mended: mending.Mended
) -> list[dict[str, Any]]:
    fields = tuple(EditRegion.model_fields)
    known = [
        region | {"id": mending.unquoted_number(region["id"], mended)} if "id" in region else region
        for region in (mending.known_keys(one, fields, mended) for one in regions)
    ]
    boxed = [
        region | {"bbox_2d": mending.mended_box(region["bbox_2d"], mended)}
        if "bbox_2d" in region
        else region
        for region in mending.numbered(known, mended)
    ]
    kept = [region for region in boxed if mending.has_area(region.get("bbox_2d"))]
    if len(kept) < len(boxed):
        mended.add(Mending.EMPTY_REGION)
    return kept


def _error_of(error: ValidationError) -> JudgementError:
    first = error.errors()[0]
    where = ".".join(str(part) for part in first["loc"]) or "answer"
    match first["loc"][:1]:
        case ("score",) if first["type"] in _OUT_OF_RANGE:
            failure = Failure.SCORE_OUT_OF_RANGE
        case ("edit_region",) if first["loc"] != ("edit_region",) or first["type"] != "missing":
            failure = Failure.WRONG_REGIONS
        case ():
            failure = Failure.WRONG_REGIONS
        case _:
            failure = Failure.WRONG_FORM
    return JudgementError(f"{where}: {first['msg']}", failure)
