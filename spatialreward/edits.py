"""Editing tasks and their results; free of torch, for clients and tests."""

from dataclasses import dataclass
from typing import Self

from PIL import Image

from spatialreward.errors import InvalidInputError
from spatialreward.images import AnyPicture, check_instruction, read_picture
from spatialreward.records import JudgingOptions

Pictures = list[AnyPicture] | tuple[AnyPicture, ...]


@dataclass(frozen=True, init=False)
class EditTask:
    """A task for an editor: RGB pictures, which may differ in size, and an instruction."""

    sources: tuple[Image.Image, ...]
    """The source pictures, at least one. The editor changes the first; the others are references,
    such as an object to insert."""
    instruction: str
    """The change to make."""
    id: str
    """Name of the task in its data set; may be empty."""
    operation: str
    """Kind of edit, in the data set's words; may be empty."""
    truth: str | None
    """How the task was generated, as JSON for its generator alone; None: unknown."""

    def __init__(
        self,
        sources: Pictures,
        instruction: str,
        id: str = "",
        operation: str = "",
        truth: str | None = None,
    ) -> None:
        """Read and check the task; pictures come in any form that ``Edit`` takes.

        Args:
            sources: the picture to edit, then further source pictures.
            instruction: the change to make.
            id: name of the task in its data set.
            operation: kind of edit.
            truth: how the task was generated, for the judge ``oracle``.

        Raises:
            InvalidInputError: an argument is unusable; the message begins with its name.
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
    """One edit to judge: RGB pictures, which may differ in size, and the instruction.

    ``dataclasses.replace`` makes a changed copy.
    """

    source: Image.Image
    """The picture before the edit."""
    edited: Image.Image
    """The picture after it."""
    instruction: str
    """The requested change."""
    references: tuple[Image.Image, ...]
    """Further source pictures, such as an object to insert into the first."""
    options: JudgingOptions
    """How to judge this edit."""
    id: str
    """Name of the edit or of its task; may be empty."""
    operation: str
    """Kind of edit, in the data set's words; may be empty."""
    editor: str
    """Name of the editor; may be empty."""
    truth: str | None
    """How the task was generated, as JSON for its generator alone; None: unknown."""

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
        """Read and check an edit.

        A picture is the path or the bytes of a file, an array of uint8 (``[H, W]``, ``[H, W, 3]``
        or ``[H, W, 4]``), or a Pillow picture. RGB Pillow pictures are used as they are, not
        copied: pass the same object to all edits of one source, and a client sends it once.

        Args:
            source: the picture before the edit, or a list of it and further source pictures.
            edited: the picture after the edit.
            instruction: the requested change.
            references: further source pictures.
            options: how to judge this edit.
            id: name of the edit or of its task.
            operation: kind of edit.
            editor: name of the editor.
            truth: how the task was generated, for the judge ``oracle``.

        Raises:
            InvalidInputError: an argument is unusable; the message begins with its name.
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
        """An editor's result for a task.

        Raises:
            InvalidInputError: the edited picture or the options are unusable.
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
        """The task that the editor worked on."""
        return EditTask(self.sources, self.instruction, self.id, self.operation, self.truth)

    @property
    def sources(self) -> tuple[Image.Image, ...]:
        """All source pictures, the edited one first."""
        return (self.source, *self.references)


def kind_of(value: object) -> str:
    """The type of a value, for error messages."""
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
