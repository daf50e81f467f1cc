"""What an editor is asked to do, and what it made of it; free of torch, for clients and tests."""

from dataclasses import dataclass
from typing import Self

from PIL import Image

from spatialreward.errors import InvalidInputError
from spatialreward.images import AnyPicture, check_instruction, read_picture
from spatialreward.records import JudgingOptions

Pictures = list[AnyPicture] | tuple[AnyPicture, ...]


@dataclass(frozen=True, init=False)
class EditTask:
    """What an editor is asked to do: RGB pictures, which may differ in size, and an instruction."""

    sources: tuple[Image.Image, ...]
    """The pictures to edit from, one at least. The first is the one that is edited; the others are
    references, such as a thing that is to be put into it."""
    instruction: str
    """What is to be edited."""
    id: str
    """Name of the task in its data set; may be empty."""
    operation: str
    """What kind of edit that is, in the data set's words; may be empty."""
    truth: str | None
    """How the task was made, as JSON that its maker alone reads; None: nobody knows."""

    def __init__(
        self,
        sources: Pictures,
        instruction: str,
        id: str = "",
        operation: str = "",
        truth: str | None = None,
    ) -> None:
        """Read and check what is asked; pictures come in any form that ``Edit`` takes.

        Args:
            sources: the picture to edit, and further source pictures behind it.
            instruction: what is to be edited.
            id: name of the task in its data set.
            operation: what kind of edit that is.
            truth: how the task was made, for the judge ``oracle``.

        Raises:
            InvalidInputError: one of them cannot be used; the message begins with its name.
        """
        text = _instruction(instruction)
        _check_words(id=id, operation=operation, truth=truth)
        _set(
            self,
            sources=tuple(_read_some(sources, "sources")),
            instruction=text,
            id=id,
            operation=operation,
            truth=truth,
        )


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
    id: str
    """Name of the edit or of its task; may be empty."""
    operation: str
    """What kind of edit that is, in the data set's words; may be empty."""
    editor: str
    """Who made the edit; may be empty."""
    truth: str | None
    """How the task was made, as JSON that its maker alone reads; None: nobody knows."""

    def __init__(
        self,
        source: AnyPicture | Pictures,
        edited: AnyPicture,
        instruction: str,
        references: Pictures = (),
        options: JudgingOptions = JudgingOptions(),  # noqa: B008 - frozen
        *,
        id: str = "",
        operation: str = "",
        editor: str = "",
        truth: str | None = None,
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
            id: name of the edit or of its task.
            operation: what kind of edit that is.
            editor: who made the edit.
            truth: how the task was made, for the judge ``oracle``.

        Raises:
            InvalidInputError: one of them cannot be used; the message begins with its name.
        """
        text = _instruction(instruction)
        if not isinstance(options, JudgingOptions):
            raise InvalidInputError(f"options: expected JudgingOptions, got {kind_of(options)}")
        _check_words(id=id, operation=operation, editor=editor, truth=truth)
        if isinstance(source, (list, tuple)):
            first, *others = _read_some(source, "source")
        else:
            first, others = read_picture(source, "source"), []
        others += _read_all(references, "references")
        _set(
            self,
            source=first,
            edited=read_picture(edited, "edited"),
            instruction=text,
            references=tuple(others),
            options=options,
            id=id,
            operation=operation,
            editor=editor,
            truth=truth,
        )

    @classmethod
    def of(
        cls,
        task: EditTask,
        edited: AnyPicture,
        editor: str = "",
        options: JudgingOptions = JudgingOptions(),  # noqa: B008 - frozen
    ) -> Self:
        """What an editor made of a task.

        Raises:
            InvalidInputError: the edited picture or the options cannot be used.
        """
        return cls(
            task.sources,
            edited,
            task.instruction,
            options=options,
            id=task.id,
            operation=task.operation,
            editor=editor,
            truth=task.truth,
        )

    @property
    def task(self) -> EditTask:
        """What the editor was asked to do."""
        return EditTask(self.sources, self.instruction, self.id, self.operation, self.truth)

    @property
    def sources(self) -> tuple[Image.Image, ...]:
        """All source pictures, the edited one's own first."""
        return (self.source, *self.references)


def kind_of(value: object) -> str:
    """The type of a value, as an error names it."""
    return type(value).__name__


def _instruction(instruction: str) -> str:
    if not isinstance(instruction, str):
        raise InvalidInputError(f"instruction: expected text, got {kind_of(instruction)}")
    return check_instruction(instruction)


def _check_words(*, truth: str | None, **given: str) -> None:
    if truth is not None:
        given["truth"] = truth
    for field, value in given.items():
        if not isinstance(value, str):
            raise InvalidInputError(f"{field}: expected text, got {kind_of(value)}")


def _read_some(pictures: Pictures, field: str) -> list[Image.Image]:
    read = _read_all(pictures, field)
    if not read:
        raise InvalidInputError(f"{field}: expected one picture at least, got an empty list")
    return read


def _read_all(pictures: Pictures, field: str) -> list[Image.Image]:
    if not isinstance(pictures, (list, tuple)):
        raise InvalidInputError(f"{field}: expected a list of pictures, got {kind_of(pictures)}")
    return [read_picture(one, f"{field}[{number}]") for number, one in enumerate(pictures)]


def _set(record: EditTask | Edit, **fields: object) -> None:
    for field, value in fields.items():
        object.__setattr__(record, field, value)
