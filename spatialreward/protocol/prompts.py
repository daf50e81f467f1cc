"""The protocol file: the prompts a checkpoint was trained with, kept beside its weights."""

from pathlib import Path

from pydantic import PositiveInt, ValidationError

from spatialreward.errors import InvalidInputError
from spatialreward.records import Record

PROTOCOL_FILE = "protocol.json"


class Protocol(Record):
    """Everything that training, evaluation and serving must do alike for one checkpoint."""

    name: str
    semantic: str
    """Prompt of the SC stream, after both pictures; ``{instruction}`` is filled in."""
    perceptual: str
    """Prompt of the PQ stream, after the edited picture."""
    square_side: PositiveInt | None = None
    """Pictures are resized to squares of this side; None keeps their shape and size."""
    max_answer_tokens: PositiveInt = 1024
    """An answer longer than this counts as a failed judgement."""

    def semantic_prompt(self, instruction: str) -> str:
        """The SC stream's text for one instruction, which may hold braces."""
        return self.semantic.replace("{instruction}", instruction)

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
            raise InvalidInputError(
                f"{folder}: no {PROTOCOL_FILE}, so this checkpoint was not trained to judge"
            )
        try:
            return cls.model_validate_json(path.read_text())
        except ValidationError as error:
            raise InvalidInputError(f"{path}: {error}") from error


TINY = Protocol(
    name="tiny",
    semantic="judge: {instruction}",
    perceptual="quality",
    square_side=64,
    max_answer_tokens=208,
)
"""For the tiny judge, whose every prompt token costs training time."""

FULL = Protocol(
    name="full",
    semantic=(
        "The first picture is the source, the second one came out of an image editor that was "
        "given this instruction:\n{instruction}\n\n"
        "Compare the two pictures and answer with one JSON object. Its keys, in this order:\n"
        '"edit_region": every place where the second picture differs from the first, as a list '
        'of {"id": 0, "label": "what is there", "bbox_2d": [x1, y1, x2, y2]} with coordinates '
        "from 0 to 1000; an empty list when nothing was edited.\n"
        '"reasoning": for each region "<|bbox_ID|>" and what became of it and whether that was '
        'asked for; at the end "<|global|>" and whether anything asked for is missing and '
        "anything else was changed.\n"
        '"score": two whole numbers from 0 to 25: how far the instruction was carried out, and '
        "how well everything else was left alone (25 when nothing else changed)."
    ),
    perceptual=(
        "Judge this picture only by how it looks. Answer with one JSON object. Its keys, in "
        'this order:\n"reasoning": what looks unnatural or broken.\n'
        '"score": two whole numbers from 0 to 25: how natural it looks, and how free of '
        "artifacts it is (25 when there are none)."
    ),
)
"""For large models that follow a prompt in words."""
