"""A judge's input: text and pictures in reading order; free of torch."""

from typing import NamedTuple

from PIL import Image

from spatialreward.edits import Edit
from spatialreward.errors import Failure
from spatialreward.protocol.formats import AnswerFormat
from spatialreward.protocol.prompts import Protocol, Slot, fill
from spatialreward.records import AnswerForm, Judgement


class Question(NamedTuple):
    """One prompt with its pictures."""

    parts: tuple[str | Image.Image, ...]
    seed: int | None = None
    """Sampling seed of the answer; None: greedy decoding."""
    form: AnswerForm | None = None
    """Form of the answer, if it is a judgement in our format; None: unconstrained."""
    in_words: bool = False
    """Whether the answer is prose, which ends at the end token, instead of an object."""
    system: str | None = None
    """The system turn."""

    @property
    def pictures(self) -> list[Image.Image]:
        """The pictures only."""
        return [part for part in self.parts if not isinstance(part, str)]

    @property
    def compares(self) -> bool:
        """Whether it shows a source picture, which only the SC stream does."""
        return len(self.pictures) > 1

    @property
    def text(self) -> str:
        """The text only."""
        return " ".join(part for part in self.parts if isinstance(part, str))


def semantic_question(protocol: Protocol, edit: Edit) -> Question:
    """The SC stream's question about an edit."""
    pictures = {Slot.SOURCE: edit.sources, Slot.EDITED: (edit.edited,)}
    return _question(protocol, edit, fill(protocol.semantic_parts(edit.instruction), pictures))


def perceptual_question(protocol: Protocol, edit: Edit) -> Question:
    """The PQ stream's question about an edit; see ``Protocol.perceptual``."""
    pictures = {Slot.SOURCE: edit.sources, Slot.EDITED: (edit.edited,)}
    return _question(protocol, edit, fill(protocol.perceptual_parts(edit.instruction), pictures))


def refusal(protocol: Protocol, edit: Edit) -> Judgement | None:
    """A failed judgement for an edit that the protocol cannot show; None for all others."""
    most, given = protocol.max_sources, len(edit.sources)
    if most is not None and given > most:
        reason = f"protocol {protocol.name}: source pictures: expected {most} at most, got {given}"
        return Judgement.failed(reason, Failure.BAD_INPUT)
    if not protocol.format.questions(edit.options.streams):
        reason = f"protocol {protocol.name} has no stream {edit.options.streams}"
        return Judgement.failed(reason, Failure.BAD_INPUT)
    return None


def _question(protocol: Protocol, edit: Edit, parts: tuple[str | Image.Image, ...]) -> Question:
    written = protocol.format
    return Question(
        parts,
        edit.options.seed,
        form=protocol.answer if written is AnswerFormat.JSON else None,
        in_words=written is AnswerFormat.CRITIQUE,
        system=protocol.system,
    )
