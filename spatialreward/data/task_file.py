"""Tasks for an editor in a JSON Lines file: source pictures and instructions.

A line is ``{"id": ..., "source": ..., "instruction": ...}``; ``source`` is a picture's path,
relative to the file, or a list of paths, the edited picture first. ``operation`` and ``truth`` are
optional; other fields are ignored, so a file of edits is also one of tasks.
"""

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, NamedTuple

from pydantic import ConfigDict, Field, ValidationError

from spatialreward.edits import EditTask
from spatialreward.errors import InvalidInputError
from spatialreward.folder_manifest import digest_file
from spatialreward.images import check_instruction
from spatialreward.reading import parse_json, read_text
from spatialreward.records import Record
from spatialreward.validation import first_problem

SUFFIX = ".jsonl"


class _Line(Record):
    # Files of edits are also accepted.
    model_config = ConfigDict(extra="ignore")

    id: Annotated[str, Field(min_length=1, max_length=200)]
    source: Path | tuple[Path, ...]
    instruction: str
    operation: str = ""
    truth: str | None = None


class _Entry(NamedTuple):
    """A line of the file."""

    where: str
    line: _Line
    sources: tuple[Path, ...]


class TaskFile:
    """The tasks of a file, in order; reads pictures on demand."""

    def __init__(self, path: Path) -> None:
        """Read the lines and check that their pictures exist.

        Raises:
            InvalidInputError: the file or a line is unreadable, two lines have the same id, an
                instruction is unusable, or a picture is missing; names file and line.
        """
        self.path = path
        self._entries = _read(path)

    def __len__(self) -> int:
        """Number of tasks, at least one."""
        return len(self._entries)

    def __iter__(self) -> Iterator[EditTask]:
        """All tasks, in order."""
        return map(self.task, range(len(self)))

    def task(self, number: int) -> EditTask:
        """A task, with its pictures.

        Raises:
            InvalidInputError: a picture is unreadable; names file and line.
        """
        where, line, sources = self._entries[number]
        try:
            return EditTask(list(sources), line.instruction, line.id, line.operation, line.truth)
        except InvalidInputError as error:
            raise InvalidInputError(f"{where}: {error}") from error

    @property
    def digest(self) -> str:
        """SHA-256 over the file and all of its pictures, which it reads."""
        files = [self.path, *(source for entry in self._entries for source in entry.sources)]
        lines = "".join(f"{digest_file(file)}\n" for file in files)
        return hashlib.sha256(lines.encode()).hexdigest()


def _read(path: Path) -> list[_Entry]:
    try:
        lines = read_text(path).split("\n")
    except InvalidInputError as error:
        raise InvalidInputError(f"tasks {path}: {error}") from error
    entries: dict[str, _Entry] = {}
    for number, text in enumerate(lines, start=1):
        if not text.strip():
            continue
        where = f"tasks {path}, line {number}"
        try:
            entry = _entry(text, path.parent, where)
        except InvalidInputError as error:
            raise InvalidInputError(f"{where}: {error}") from error
        if entry.line.id in entries:
            raise InvalidInputError(f"{where}: id {entry.line.id!r} appears twice")
        entries[entry.line.id] = entry
    if not entries:
        raise InvalidInputError(f"tasks {path}: holds no tasks")
    return list(entries.values())


def _entry(text: str, folder: Path, where: str) -> _Entry:
    given = parse_json(text)
    try:
        line = _Line.model_validate(given)
    except ValidationError as error:
        raise InvalidInputError(str(first_problem(error, _Line, given))) from error
    check_instruction(line.instruction)
    paths = line.source if isinstance(line.source, tuple) else (line.source,)
    if not paths:
        raise InvalidInputError("source: expected one picture at least, got an empty list")
    sources = tuple(folder / path for path in paths)
    for source in sources:
        if not source.is_file():
            raise InvalidInputError(f"source {source}: there is no such file")
    return _Entry(where, line, sources)
