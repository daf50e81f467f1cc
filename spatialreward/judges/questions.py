"""What a judge is asked: words and pictures in the order in which it reads them; free of torch."""

from typing import NamedTuple

from PIL import Image

from spatialreward.edits import Edit
from spatialreward.protocol.prompts import Protocol, Slot, fill
from spatialreward.records import AnswerForm


class Question(NamedTuple):
    """One prompt with its pictures."""

    parts: tuple[str | Image.Image, ...]
    seed: int | None = None
    """The answer is drawn with this seed; None: it is the likeliest one, token by token."""
    form: AnswerForm | None = None
    """Of the answer, where that is a judgement; None: it may be anything."""

    @property
    def pictures(self) -> list[Image.Image]:
        """The pictures alone."""
        return [part for part in self.parts if not isinstance(part, str)]

    @property
    def compares(self) -> bool:
        """Whether it shows a source picture too, as the SC stream alone does."""
        return len(self.pictures) > 1

    @property
    def text(self) -> str:
        """The words alone."""
        return " ".join(part for part in self.parts if isinstance(part, str))


def semantic_question(protocol: Protocol, edit: Edit) -> Question:
    """What the SC stream is asked about an edit."""
    pictures = {Slot.SOURCE: edit.sources, Slot.EDITED: (edit.edited,)}
    parts = fill(protocol.semantic_parts(edit.instruction), pictures)
    return Question(parts, edit.options.seed, protocol.answer)


def perceptual_question(protocol: Protocol, edit: Edit) -> Question:
    """What the PQ stream is asked about an edit."""
    parts = fill(protocol.perceptual_parts(), {Slot.EDITED: (edit.edited,)})
    return Question(parts, edit.options.seed, protocol.answer)
