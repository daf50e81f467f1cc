"""The protocol file: the prompts a checkpoint was trained with, stored beside its weights."""

import hashlib
import re
from collections.abc import Mapping, Sequence
from enum import StrEnum
from pathlib import Path
from types import MappingProxyType
from typing import Self, TypeVar

from pydantic import (
    Field,
    PositiveInt,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)

from spatialreward.errors import InvalidInputError
from spatialreward.protocol.aggregation import Aggregation
from spatialreward.protocol.formats import OUR_SCALE, AnswerFormat, Capabilities, ScoreScale
from spatialreward.protocol.parsing import ALL_MENDINGS
from spatialreward.reading import read_text
from spatialreward.records import AnswerForm, Mending, Record, is_regions
from spatialreward.validation import first_problem

PROTOCOL_FILE = "protocol.json"


class Slot(StrEnum):
    """Placeholder of a picture in a prompt."""

    SOURCE = "source"
    EDITED = "edited"


PromptPart = str | Slot
Picture = TypeVar("Picture")
_PLACEHOLDER = re.compile(r"\{(source|edited|instruction)\}")


def fill(
    parts: Sequence[PromptPart], pictures: Mapping[Slot, tuple[Picture, ...]]
) -> tuple[str | Picture, ...]:
    """Fill pictures, decoded or as files, into a prompt's placeholders."""
    filled: list[str | Picture] = []
    for part in parts:
        filled += pictures[part] if isinstance(part, Slot) else (part,)
    return tuple(filled)


_COMPARING: Mapping[str, int] = MappingProxyType({"source": 1, "edited": 1, "instruction": 1})
_LOOKING: Mapping[str, int] = MappingProxyType({"source": 0, "edited": 1, "instruction": 0})


def _check_placeholders(template: str, counts: Mapping[str, int]) -> None:
    found = _PLACEHOLDER.findall(template)
    for name, count in counts.items():
        if found.count(name) != count:
            raise ValueError(
                f"expected {{{name}}} {count} times in the prompt, got {found.count(name)}"
            )


class Protocol(Record):
    """The settings that training, evaluation and serving must share for one checkpoint.

    The text before the edited picture is computed once for all edits that share it, so a prompt
    that ends in ``{edited}`` is the cheapest.
    """

    name: str
    format: AnswerFormat = Field(AnswerFormat.JSON, exclude_if=lambda one: one is AnswerFormat.JSON)
    """Format of the answers. The file omits this and other fields for public judges at their
    defaults, so older protocols keep their digest."""
    semantic: str
    """Prompt of the SC stream; has ``{source}``, ``{edited}`` and ``{instruction}``."""
    perceptual: str
    """Prompt of the PQ stream, with ``{edited}``. In the formats ``one_score`` and ``heads``: the
    second question, with the placeholders of ``semantic``; empty in ``critique``."""
    answer: AnswerForm = Field(AnswerForm.REGIONS, exclude_if=is_regions)
    """The form that prompts request and answers must have; the file omits ``regions``, which older
    files mean."""
    system: str | None = Field(None, exclude_if=lambda one: one is None)
    """System turn of the chat template."""
    chat_template: str | None = None
    """Jinja template of the conversation around a prompt; None: the tokenizer's own."""
    square_side: PositiveInt | None = None
    """Resize pictures to squares of this side; None keeps their shape and size."""
    max_pixels: PositiveInt | None = None
    """Shrink larger pictures to this many pixels, keeping their shape."""
    min_pixels: PositiveInt | None = Field(None, exclude_if=lambda one: one is None)
    """Enlarge smaller pictures to at least this many pixels, keeping their shape."""
    max_sources: PositiveInt | None = Field(None, exclude_if=lambda one: one is None)
    """Refuse edits with more source pictures; None: any number."""
    scale: ScoreScale = Field(OUR_SCALE, exclude_if=lambda one: one == OUR_SCALE)
    """Scale of the written scores, in the formats of public judges."""
    max_answer_tokens: PositiveInt = 1024
    """A longer answer is a failed judgement."""
    mendings: tuple[Mending, ...] = ALL_MENDINGS
    """The repairs allowed before an answer is parsed."""
    aggregation: Aggregation = Aggregation()
    """How the scores become a reward."""

    @field_validator("semantic", "perceptual")
    @classmethod
    def _has_its_placeholders(cls, template: str, info: ValidationInfo) -> str:
        written = info.data.get("format", AnswerFormat.JSON)
        if info.field_name == "semantic" or written.shows_source_twice:
            _check_placeholders(template, _COMPARING)
        elif written is not AnswerFormat.CRITIQUE:
            _check_placeholders(template, _LOOKING)
        elif template:
            raise ValueError(f"the format {written} has one question, expected no second one")
        return template

    @model_validator(mode="after")
    def _regions_only_in_our_format(self) -> Self:
        if self.format is not AnswerFormat.JSON and self.answer.has_regions:
            raise ValueError(f"the format {self.format} has no regions, expected another answer")
        return self

    @property
    def capabilities(self) -> Capabilities:
        """The capabilities of a judge with this protocol."""
        return Capabilities(
            predicts_regions=self.answer.has_regions,
            max_sources=self.max_sources,
            has_quality=self.format is not AnswerFormat.ONE_SCORE,
        )

    @property
    def notice(self) -> str:
        """A remark for readers of the judgements; empty for the common scale and streams."""
        scale = "" if self.scale == OUR_SCALE else f"its scores are {self.scale}, shown as 0..25"
        return "; ".join(filter(None, (self.capabilities.limits, scale)))

    def semantic_parts(self, instruction: str) -> tuple[PromptPart, ...]:
        """The SC stream's text and pictures in reading order; the instruction may hold braces."""
        return _fill(self.semantic, instruction)

    def perceptual_parts(self, instruction: str = "") -> tuple[PromptPart, ...]:
        """The PQ stream's text and pictures in reading order; see ``perceptual``."""
        return _fill(self.perceptual, instruction)

    @property
    def reward_of(self) -> str:
        """The composition of the reward, as in a judge's identity."""
        match self.format:
            case AnswerFormat.CRITIQUE:
                return "mean of aspects"
            case AnswerFormat.HEADS:
                return "mean of heads"
        return self.aggregation.form

    @property
    def reference(self) -> str:
        """Name and digest, as ``tiny@0a1b2c3d4e5f``; unique to the content."""
        digest = hashlib.sha256(self.model_dump_json().encode()).hexdigest()
        return f"{self.name}@{digest[:12]}"

    def write(self, folder: Path) -> None:
        """Store the protocol beside a checkpoint's weights."""
        (folder / PROTOCOL_FILE).write_text(self.model_dump_json(indent=2) + "\n")

    @classmethod
    def read(cls, folder: Path) -> "Protocol":
        """The protocol of the checkpoint in ``folder``.

        Raises:
            InvalidInputError: there is none, or it is malformed.
        """
        path = folder / PROTOCOL_FILE
        if not path.is_file():
            raise InvalidInputError(f"{folder}: no {PROTOCOL_FILE}")
        return cls.read_file(path)

    @classmethod
    def read_file(cls, path: Path) -> "Protocol":
        """The protocol in a file of any name.

        Raises:
            InvalidInputError: it is unreadable or malformed; the message names file and field.
        """
        try:
            return cls.model_validate_json(read_text(path))
        except InvalidInputError as error:
            raise InvalidInputError(f"{path}: {error}") from error
        except ValidationError as error:
            raise InvalidInputError(f"{path}: {first_problem(error, cls)}") from error


def _fill(template: str, instruction: str) -> tuple[PromptPart, ...]:
    parts: list[PromptPart] = []
    text = ""
    for number, piece in enumerate(_PLACEHOLDER.split(template)):
        if number % 2 == 0 or piece == "instruction":
            text += piece if number % 2 == 0 else instruction
            continue
        parts += [text, Slot(piece)] if text else [Slot(piece)]
        text = ""
    return (*parts, text) if text else tuple(parts)


TINY = Protocol(
    name="tiny",
    semantic="judge: {instruction}{source}{edited}",
    perceptual="quality{edited}",
    chat_template=(
        "{%- for message in messages -%}<|im_start|>{{ message.role }}"
        "{%- for part in message.content -%}"
        "{%- if part.type == 'image' -%}<|vision_start|><|image_pad|><|vision_end|>"
        "{%- else -%}{{ part.text }}{%- endif -%}"
        "{%- endfor -%}<|im_end|>{%- endfor -%}"
        "{%- if add_generation_prompt -%}<|im_start|>{%- endif -%}"
    ),
    square_side=64,
    max_answer_tokens=208,
)
"""For the tiny judge, which pays training time for each prompt token."""

TINY_REASONING = TINY.model_copy(update={"name": "tiny-reasoning", "answer": AnswerForm.REASONING})
TINY_SCORES = TINY.model_copy(update={"name": "tiny-scores", "answer": AnswerForm.SCORES})

_TASK = (
    "You are shown two pictures. The first one is the source, the second one came out of an "
    "image editor that was given this instruction:\n{instruction}\n\n"
    "Compare the two pictures and answer with one JSON object. "
)
_KEYS = "Its keys, in this order:\n"
_ONE_KEY = "Its only key, without a word before or behind it:\n"
_SC_SCORES = (
    '"score": two whole numbers from 0 to 25: how far the instruction was carried out, and '
    "how well everything else was left alone (25 when nothing else changed).\n"
)
_SC_PICTURES = "Source: {source}\nEdited: {edited}"
_LOOK = "Judge a picture only by how it looks. Answer with one JSON object. "
_PQ_SCORES = (
    '"score": two whole numbers from 0 to 25: how natural it looks, and how free of '
    "artifacts it is (25 when there are none).\n"
)
_PQ_PICTURE = "Picture: {edited}"

FULL = Protocol(
    name="full",
    semantic=(
        f"{_TASK}{_KEYS}"
        '"edit_region": every place where the second picture differs from the first, as a list '
        'of {"id": 0, "label": "what is there", "bbox_2d": [x1, y1, x2, y2]} with coordinates '
        "from 0 to 1000; an empty list when nothing was edited.\n"
        '"reasoning": for each region "<|bbox_ID|>" and what became of it and whether that was '
        'asked for; at the end "<|global|>" and whether anything asked for is missing and '
        "anything else was changed.\n"
        f"{_SC_SCORES}{_SC_PICTURES}"
    ),
    perceptual=(
        f'{_LOOK}{_KEYS}"reasoning": what looks unnatural or broken.\n{_PQ_SCORES}{_PQ_PICTURE}'
    ),
)
"""For large models that follow a prompt in words."""

FULL_REASONING = Protocol(
    name="full-reasoning",
    semantic=(
        f"{_TASK}{_KEYS}"
        '"reasoning": in plain sentences every difference between the two, what became of what was '
        "there and whether that was asked for; at the end whether anything asked for is missing "
        "and anything else was changed. Name no coordinates.\n"
        f"{_SC_SCORES}{_SC_PICTURES}"
    ),
    perceptual=FULL.perceptual,
    answer=AnswerForm.REASONING,
)

FULL_SCORES = Protocol(
    name="full-scores",
    semantic=f"{_TASK}{_ONE_KEY}{_SC_SCORES}{_SC_PICTURES}",
    perceptual=f"{_LOOK}{_ONE_KEY}{_PQ_SCORES}{_PQ_PICTURE}",
    answer=AnswerForm.SCORES,
)
