"""What every judge can do, wherever it runs; free of torch, for clients and tests."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Protocol, Self

from PIL import Image

from spatialreward.errors import InvalidInputError
from spatialreward.images import AnyPicture, check_instruction, read_picture
from spatialreward.records import Judgement, JudgingOptions

Pictures = list[AnyPicture] | tuple[AnyPicture, ...]
Measure = Callable[[str, float], None]
"""Is told an amount of something by name, such as ``seconds/encode``; amounts add up."""


def ignore(name: str, amount: float) -> None:
    """Measure nothing."""


@dataclass(frozen=True, init=False)
class Edit:
    """One edit that can be judged: RGB pictures, which may differ in size, and what was asked for.

    ``dataclasses.replace`` makes a changed copy.
    """

    source: Image.Image
    """The picture before the edit."""
    edited: Image.Image
    """The picture after it."""
    instruction: str
    """What was to be edited."""
    references: tuple[Image.Image, ...]
    """Further source pictures, such as a thing that is to be put into the first."""
    options: JudgingOptions
    """How this edit is to be judged."""

    def __init__(
        self,
        source: AnyPicture | Pictures,
        edited: AnyPicture,
        instruction: str,
        references: Pictures = (),
        options: JudgingOptions = JudgingOptions(),  # noqa: B008 - frozen
    ) -> None:
        """Read and check what is to be judged.

        A picture is the path or the bytes of a file, an array of uint8 (``[H, W]``, ``[H, W, 3]``
        or ``[H, W, 4]``), or a Pillow picture. An RGB picture of Pillow is taken as it is, not
        copied: hand the same object to all edits of one source, and a served judge gets it once.

        Args:
            source: the picture before the edit, or a list of it and further source pictures.
            edited: the picture after the edit.
            instruction: what was to be edited.
            references: further source pictures.
            options: how this edit is to be judged.

        Raises:
            InvalidInputError: one of them cannot be used; the message begins with its name.
        """
        if not isinstance(instruction, str):
            raise InvalidInputError(f"instruction: expected text, got {_kind(instruction)}")
        if not isinstance(options, JudgingOptions):
            raise InvalidInputError(f"options: expected JudgingOptions, got {_kind(options)}")
        text = check_instruction(instruction)
        first, *others = _read_sources(source)
        others += _read_all(references, "references")
        checked = {
            "source": first,
            "edited": read_picture(edited, "edited"),
            "instruction": text,
            "references": tuple(others),
            "options": options,
        }
        for field, value in checked.items():
            object.__setattr__(self, field, value)


def check_edits(edits: Iterable[Edit]) -> list[Edit]:
    """What a judge was asked, as a list.

    Raises:
        InvalidInputError: it is no list of edits; the message has the position and type of what is
            none.
    """
    if not isinstance(edits, Iterable):
        raise InvalidInputError(f"edits: expected a list of Edit, got {_kind(edits)}")
    checked = list(edits)
    for position, edit in enumerate(checked):
        if not isinstance(edit, Edit):
            raise InvalidInputError(f"edits[{position}]: expected Edit, got {_kind(edit)}")
    return checked


class Judging(Protocol):
    """A judge of edits: in this process, or behind a server."""

    @property
    def notice(self) -> str:
        """What a reader of the judgements must know about the model, such as its training data."""
        ...

    def judge(self, edits: Iterable[Edit]) -> list[Judgement]:
        """One judgement an edit, in order; an edit without an answer gets a failed one."""
        ...

    def close(self) -> None:
        """Let go of the model or the connections; the judge cannot be asked any more."""
        ...

    def __enter__(self) -> Self:
        """The judge itself; it is closed at the end of the ``with`` block."""
        ...

    def __exit__(self, *error: object) -> None:
        """See ``close``."""
        ...


def _read_sources(source: AnyPicture | Pictures) -> list[Image.Image]:
    if not isinstance(source, (list, tuple)):
        return [read_picture(source, "source")]
    if not source:
        raise InvalidInputError("source: expected one picture at least, got an empty list")
    return _read_all(source, "source")


def _read_all(pictures: Pictures, field: str) -> list[Image.Image]:
    if not isinstance(pictures, (list, tuple)):
        raise InvalidInputError(f"{field}: expected a list of pictures, got {_kind(pictures)}")
    return [read_picture(one, f"{field}[{number}]") for number, one in enumerate(pictures)]


def _kind(value: object) -> str:
    return type(value).__name__
