"""The form of a teacher's answers, and the checks that stand between them and training data.

Thoughts, code fences and malformed JSON are read as in a judge's answers, by
``spatialreward.protocol.parsing``; what the fields hold is never mended.

Whether an answer is in the right language is checked by its script: more than half of its
letters must belong to the language's. A German answer to an English question passes; a Chinese one
does not.
"""

import re
import unicodedata
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Annotated, Any, Literal, TypeVar

from pydantic import AfterValidator, BeforeValidator, Field, StrictBool, ValidationError
from pydantic.json_schema import SkipJsonSchema

from spatialreward.chat.faults import ServerFault
from spatialreward.chat.reply import Reply
from spatialreward.data.teacher.config import Language
from spatialreward.data.teacher.faults import Fault, TeacherFault
from spatialreward.errors import Failure, JudgementError
from spatialreward.protocol.mending import Mended
from spatialreward.protocol.parsing import answer_value
from spatialreward.protocol.scanning import THOUGHT_ENDS
from spatialreward.records import BOX_SCALE, MAX_SCORE, Mending, Record

LONGEST_TEXT = 4_000
"""In characters; a model that repeats itself goes beyond."""

_SCRIPTS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "ru": ("CYRILLIC",),
        "zh": ("CJK",),
        "ja": ("CJK", "HIRAGANA", "KATAKANA"),
        "ko": ("HANGUL", "CJK"),
    }
)
_REFUSAL = re.compile(r"^\W*(i.?m sorry|sorry|i can.?t|i cannot|i.?m unable|i am unable)\b", re.I)
_SCORES = ("editing_success", "over_editing", "naturalness", "artifact_freedom")
_PLAIN_KEYWORDS = (
    "type", "required", "additionalProperties", "minimum", "maximum", "enum", "$ref",
)  # fmt: skip


def _says_something(text: str) -> str:
    text = " ".join(text.split())
    if not text:
        raise ValueError("is empty")
    if len(text) > LONGEST_TEXT:
        raise ValueError(f"has {len(text):,} characters, more than {LONGEST_TEXT:,}")
    if any(unicodedata.category(character) in ("Cc", "Cs") for character in text):
        raise ValueError("holds control characters or half a surrogate pair")
    if "<|" in text or "|>" in text:
        raise ValueError("holds <| or |>, which mark regions in the judge's language")
    return text


def _whole(value: object) -> object:
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _has_area(box: tuple[int, ...]) -> tuple[int, ...]:
    left, top, right, bottom = box
    if right <= left or bottom <= top:
        raise ValueError(f"expected left < right and top < bottom, got {list(box)}")
    return box


Text = Annotated[str, AfterValidator(_says_something)]
Whole = BeforeValidator(_whole)
RegionNumber = Annotated[int, Field(ge=0, strict=True), Whole]
WholeScore = Annotated[int, Field(ge=0, le=int(MAX_SCORE), strict=True), Whole]
Thousandth = Annotated[int, Field(ge=0, le=BOX_SCALE, strict=True), Whole]


class RegionAnswer(Record):
    """What the teacher says about a region."""

    id: RegionNumber
    label: Text
    reasoning: Text


class DroppedRegion(Record):
    """A proposed region in which the teacher sees no edit."""

    id: RegionNumber
    reason: Text


class MissingRegion(Record):
    """A difference outside all proposed regions."""

    label: Text
    place: Text


class TeacherAnswer(Record):
    """What every answer has, beside what the teacher is asked for."""

    mended: SkipJsonSchema[tuple[Mending, ...]] = Field((), exclude=True)
    """What was put right before the answer could be read."""


class AnnotationAnswer(TeacherAnswer):
    """The first pass."""

    regions: tuple[RegionAnswer, ...]
    dropped: tuple[DroppedRegion, ...]
    missing: tuple[MissingRegion, ...]
    verdict: Text
    editing_success: WholeScore
    over_editing: WholeScore
    quality: Text
    naturalness: WholeScore
    artifact_freedom: WholeScore

    def spoken(self) -> Iterable[str]:
        """All texts in the teacher's own words."""
        for region in self.regions:
            yield from (region.label, region.reasoning)
        yield from (self.verdict, self.quality)

    def check_regions(self, proposed: Iterable[int]) -> None:
        """Make sure that each proposed region is kept or dropped, once, and none is made up.

        Raises:
            TeacherFault: one is not.
        """
        proposed = sorted(proposed)
        named = sorted(region.id for region in (*self.regions, *self.dropped))
        if unknown := sorted(set(named) - set(proposed)):
            raise TeacherFault(
                Fault.UNKNOWN_REGION, f"there are regions {proposed}, it speaks of {unknown}"
            )
        if named != proposed:
            raise TeacherFault(
                Fault.REGION_LEFT_OUT,
                f"expected each of the regions {proposed} once, got {named}",
            )


class VerificationAnswer(TeacherAnswer):
    """The second pass."""

    reason: Text
    agrees: StrictBool

    def spoken(self) -> Iterable[str]:
        """All texts in the teacher's own words."""
        return (self.reason,)


class GroundedRegion(Record):
    """A box around something that the instruction names."""

    picture: Literal["source", "edited"]
    label: Text
    bbox_2d: Annotated[
        tuple[Thousandth, ...], Field(min_length=4, max_length=4), AfterValidator(_has_area)
    ]


class GroundingAnswer(TeacherAnswer):
    """Boxes of what the instruction names."""

    regions: tuple[GroundedRegion, ...]

    def spoken(self) -> Iterable[str]:
        """All texts in the teacher's own words."""
        return (region.label for region in self.regions)


Answer = TypeVar("Answer", AnnotationAnswer, VerificationAnswer, GroundingAnswer)


def read_answer(reply: Reply, form: type[Answer], language: Language) -> Answer:
    """What a model answered, if it can be used.

    Raises:
        TeacherFault: it cannot; says why.
    """
    mended: Mended = set()
    value = _json_in(_text_of(reply), form, mended)
    value |= {"mended": tuple(one for one in Mending if one in mended)}
    try:
        answer = form.model_validate(value)
    except ValidationError as error:
        raise _fault_of(error) from error
    _check_language(answer.spoken(), language)
    return answer


def schema_of(form: type[TeacherAnswer]) -> dict[str, Any]:
    """A form as JSON schema, in the few keywords that all servers' grammars know."""
    schema = form.model_json_schema()
    plain = _plain(schema)
    if definitions := schema.get("$defs"):
        plain["$defs"] = {name: _plain(each) for name, each in definitions.items()}
    return plain


def _plain(schema: Mapping[str, Any]) -> dict[str, Any]:
    plain = {keyword: schema[keyword] for keyword in _PLAIN_KEYWORDS if keyword in schema}
    if "properties" in schema:
        plain["properties"] = {name: _plain(each) for name, each in schema["properties"].items()}
    if "items" in schema:
        plain["items"] = _plain(schema["items"])
    return plain


def _text_of(reply: Reply) -> str:
    text = (reply.text or "").strip()
    if reply.finish_reason == "content_filter":
        raise TeacherFault(ServerFault.CONTENT_FILTER, "the server withheld the answer")
    if reply.refusal:
        raise TeacherFault(Fault.REFUSED, f"the model refused: {reply.refusal[:200]!r}")
    if reply.finish_reason == "length":
        raise TeacherFault(
            Fault.CUT_OFF, f"it was longer than the tokens allowed and ends {text[-40:]!r}"
        )
    if not text:
        raise TeacherFault(Fault.EMPTY, "it was empty")
    return text


def _json_in(text: str, form: type[TeacherAnswer], mended: Mended) -> dict[str, Any]:
    # Grounding models are trained to answer with the bare list.
    begins = "{[" if form is GroundingAnswer else "{"
    try:
        value = answer_value(text, mended, begins)
    except JudgementError as error:
        said = text.rpartition(THOUGHT_ENDS)[2].strip()
        if error.failure is Failure.CUT_OFF:
            raise TeacherFault(Fault.CUT_OFF, str(error)) from error
        if _REFUSAL.match(said):
            raise TeacherFault(Fault.REFUSED, f"the model refused: {said[:200]!r}") from error
        raise TeacherFault(Fault.NOT_JSON, str(error)) from error
    return {"regions": value} if isinstance(value, list) else value


def _fault_of(error: ValidationError) -> TeacherFault:
    first = error.errors()[0]
    where = ".".join(str(part) for part in first["loc"]) or "answer"
    is_range = first["type"] in ("greater_than_equal", "less_than_equal")
    fault = Fault.SCORE_OUT_OF_RANGE if is_range and where in _SCORES else Fault.WRONG_FIELDS
    return TeacherFault(fault, f"{where}: {first['msg'].removeprefix('Value error, ')}")


def _check_language(texts: Iterable[str], language: Language) -> None:
    scripts = _SCRIPTS.get(language, ("LATIN",))
    letters = [letter for text in texts for letter in text if letter.isalpha()]
    ours = sum(unicodedata.name(letter, "").startswith(scripts) for letter in letters)
    if letters and 2 * ours <= len(letters):
        raise TeacherFault(
            Fault.WRONG_LANGUAGE,
            f"expected {language!r}, but only {ours} of {len(letters)} letters are of its script",
        )
