"""RL tasks: source pictures and instructions, step by step."""

import itertools
from pathlib import Path
from typing import Protocol

from spatialreward.data.dataset import Dataset, DatasetRef
from spatialreward.data.task_file import SUFFIX, TaskFile
from spatialreward.data.tasks import task_of
from spatialreward.edits import EditTask


class PromptSource(Protocol):
    """Endless tasks, indexed by step."""

    def batch(self, step: int) -> list[EditTask]:
        """The tasks of a step, counted from 0; reproducible."""
        ...


class DatasetPrompts:
    """The tasks of a data set in its order, repeated.

    Ignores labels and edited pictures.
    """

    def __init__(self, data: Dataset, size: int) -> None:
        """Use ``size`` tasks a step."""
        self._data = data
        self._size = size

    def __len__(self) -> int:
        """Number of tasks before they repeat."""
        return len(self._data)

    def batch(self, step: int) -> list[EditTask]:
        """See ``PromptSource``.

        Raises:
            InvalidInputError: a row is not an edit, or as ``task_of``.
        """
        edits = itertools.islice(self._data.endlessly(step * self._size), self._size)
        return [task_of(edit) for edit in edits]

    def last(self, count: int) -> list[EditTask]:
        """The last tasks in order; all if there are fewer.

        Raises:
            InvalidInputError: as ``batch``.
        """
        return [task_of(edit) for edit in self._data.edits(max(0, len(self) - count))]


class FilePrompts:
    """The tasks of a file in its order, repeated."""

    def __init__(self, file: TaskFile, size: int) -> None:
        """Use ``size`` tasks a step."""
        self._file = file
        self._size = size

    def __len__(self) -> int:
        """Number of tasks before they repeat."""
        return len(self._file)

    def batch(self, step: int) -> list[EditTask]:
        """See ``PromptSource``.

        Raises:
            InvalidInputError: a picture is unreadable; names file and line.
        """
        first = step * self._size
        return [
            self._file.task(number % len(self._file)) for number in range(first, first + self._size)
        ]

    def last(self, count: int) -> list[EditTask]:
        """The last tasks in order; all if there are fewer.

        Raises:
            InvalidInputError: as ``batch``.
        """
        return [self._file.task(number) for number in range(len(self))[-count:]]


def open_named(prompts: str, size: int, cache: Path | None = None) -> DatasetPrompts | FilePrompts:
    """The prompts of a packed data set or of a JSON Lines file (``data.task_file``).

    Args:
        prompts: a data set's reference, or the path of a file that ends in ``.jsonl``.
        size: tasks a step.
        cache: folder for data sets from the object store; default: the user's.

    Raises:
        InvalidInputError: there is no such data set or file, or a picture of the file is missing.
        StorageError, HubError: the data set cannot be downloaded.
    """
    if prompts.endswith(SUFFIX):
        return FilePrompts(TaskFile(Path(prompts)), size)
    return DatasetPrompts(DatasetRef.parse(prompts).open(cache), size)


def digest_of(prompts: str) -> str | None:
    """SHA-256 of prompts on this disk, whose content may change under one path; else None.

    Raises:
        InvalidInputError: as ``open_named``.
    """
    if prompts.endswith(SUFFIX):
        return TaskFile(Path(prompts)).digest
    reference = DatasetRef.parse(prompts)
    return reference.open().digest if isinstance(reference.place, Path) else None
