"""Every answer that was paid for, on disk before it is used, so that it is paid for once.

One JSON line an answer, appended and flushed to the disk. A line that a kill cut off is dropped
when the file is opened next. The index in memory holds a hash and an offset an answer, not the
answers.
"""

import fcntl
import logging
import os
import threading
from pathlib import Path
from typing import Self

from pydantic import Field, NonNegativeInt, ValidationError

from spatialreward.chat.reply import Reply
from spatialreward.errors import InvalidInputError
from spatialreward.records import Record

logger = logging.getLogger(__name__)


class Paid(Record):
    """What an answer cost."""

    prompt_tokens: NonNegativeInt
    completion_tokens: NonNegativeInt
    estimated: bool = False
    """Whether the server did not say, so that the tokens are an estimate."""
    cost: float = Field(0.0, ge=0)

    @property
    def tokens(self) -> int:
        """Of prompt and answer together."""
        return self.prompt_tokens + self.completion_tokens


class Entry(Record):
    """One line of the ledger."""

    key: str = Field(pattern=r"^[0-9a-f]{64}$")
    """Hash of all that was sent."""
    stage: str
    """What was asked for, such as ``annotate`` or ``verify``."""
    edit: str
    """Id of the edit that it was about."""
    reply: Reply
    paid: Paid


class Ledger:
    """A ledger that this process alone has open; safe to use from several threads."""

    def __init__(self, path: Path) -> None:
        """Open a ledger, or begin one; a last line without an end is dropped.

        Raises:
            InvalidInputError: another process has it open, or a line before the last is damaged.
        """
        self.path = path
        self._places: dict[bytes, tuple[int, int]] = {}
        self._lock = threading.Lock()
        self.tokens = 0
        """Spent on all answers in it."""
        self.cost = 0.0
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)
        try:
            self._take()
            self._end = self._read()
        except BaseException:
            os.close(self._file)
            raise
        _sync_folder(path.parent)

    def find(self, key: str) -> Entry | None:
        """The answer to what has this hash; None if it was never paid for."""
        place = self._places.get(bytes.fromhex(key))
        if place is None:
            return None
        offset, length = place
        return Entry.model_validate_json(os.pread(self._file, length, offset))

    def append(self, entry: Entry) -> None:
        """Put an answer down; it is on the disk when this returns.

        Raises:
            OSError: the disk is full, or gone.
        """
        line = entry.model_dump_json().encode() + b"\n"
        with self._lock:
            try:
                _write_all(self._file, line)
                os.fsync(self._file)
            except OSError:
                # What may be half a line must not get another line behind it.
                os.ftruncate(self._file, self._end)
                raise
            self._count(entry, self._end, len(line))
            self._end += len(line)

    def __len__(self) -> int:
        """How many answers are in it."""
        return len(self._places)

    def __enter__(self) -> Self:
        """The ledger itself; it is closed at the end of the ``with`` block."""
        return self

    def __exit__(self, *error: object) -> None:
        """Close it, after a line that is being written."""
        with self._lock:
            os.close(self._file)

    def _take(self) -> None:
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise InvalidInputError(f"ledger {self.path}: another process has it open") from error

    def _read(self) -> int:
        """Index the lines and return where the last whole one ends, which is the file's new end."""
        end = 0
        with open(self._file, "rb", closefd=False) as lines:
            for number, line in enumerate(lines, 1):
                if not line.endswith(b"\n"):
                    logger.warning("ledger %s: dropping line %d, cut off", self.path, number)
                    os.ftruncate(self._file, end)
                    break
                try:
                    entry = Entry.model_validate_json(line)
                except ValidationError as error:
                    raise InvalidInputError(
                        f"ledger {self.path}, line {number}: damaged "
                        f"({error.errors()[0]['msg']}); without it its question is asked again"
                    ) from error
                self._count(entry, end, len(line))
                end += len(line)
        return end

    def _count(self, entry: Entry, offset: int, length: int) -> None:
        self._places[bytes.fromhex(entry.key)] = (offset, length)
        self.tokens += entry.paid.tokens
        self.cost += entry.paid.cost


def _write_all(file: int, data: bytes) -> None:
    while data:
        data = data[os.write(file, data) :]


def _sync_folder(folder: Path) -> None:
    """Make sure that a new file is still there after a power cut."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
