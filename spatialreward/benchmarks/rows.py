"""Rows stored on disk as they come, with their cost.

A folder has ``run.json``, which identifies its rows, and ``rows.jsonl`` with one line per row. A
killed run resumes after its last complete line, and a folder takes no rows of another run.
"""

import fcntl
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Generic, NamedTuple, TypeVar

from pydantic import Field, ValidationError

from spatialreward.errors import InvalidInputError
from spatialreward.judges.interface import Metered, Tokens
from spatialreward.records import Record
from spatialreward.validation import first_problem

RUN_FILE, ROWS_FILE = "run.json", "rows.jsonl"
Row = TypeVar("Row", bound=Record)


class Cost(Record):
    """Cost of rows, over all processes."""

    seconds: float = Field(0.0, ge=0)
    """Busy time of the judge."""
    prompt_tokens: float = Field(0.0, ge=0)
    completion_tokens: float = Field(0.0, ge=0)
    """Both are 0 if the judge counts none; see ``Metered``."""

    def __add__(self, other: "Cost") -> "Cost":
        """Both."""
        return Cost(**{name: value + getattr(other, name) for name, value in self})

    def share(self, parts: int) -> "Cost":
        """One of equal parts."""
        return Cost(**{name: value / parts for name, value in self})


class Meter:
    """Measures the cost between two calls."""

    def __init__(self, judging: object) -> None:
        """Take the first reading; counts tokens if ``judging`` is ``Metered``."""
        self._judging = judging
        self._last = self._now()

    def since_last(self) -> Cost:
        """Cost since the last call."""
        before, self._last = self._last, self._now()
        return Cost(**{name: value - getattr(before, name) for name, value in self._last})

    def _now(self) -> Cost:
        tokens = self._judging.tokens if isinstance(self._judging, Metered) else Tokens(0, 0)
        return Cost(
            seconds=time.monotonic(),
            prompt_tokens=tokens.prompt,
            completion_tokens=tokens.completion,
        )


class Rows(Generic[Row]):
    """The rows of a folder, those of earlier processes first."""

    def __init__(self, file: IO[bytes], known: list[Row]) -> None:
        """Use the file, open for appending, and its content."""
        self._file = file
        self.known = known

    def add(self, rows: Sequence[Row]) -> None:
        """Append rows; they are on disk when this returns."""
        self._file.writelines(one.model_dump_json().encode() + b"\n" for one in rows)
        self._file.flush()
        self.known += rows


@contextmanager
def open_rows(folder: Path, record: Record, kind: type[Row]) -> Iterator[Rows[Row]]:
    """Open the rows of a folder exclusively.

    Args:
        folder: new, or that of a run with an equal record.
        record: identity of the rows.
        kind: type of the rows.

    Raises:
        InvalidInputError: the folder is another run's, damaged or in use.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / ROWS_FILE
    with path.open("a+b") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise InvalidInputError(f"{path}: another run is writing here") from error
        check_record(folder / RUN_FILE, record)
        yield Rows(file, _read(file, path, kind))


def check_record(path: Path, record: Record) -> None:
    """Write a run's record, or check that it matches the existing one.

    Raises:
        InvalidInputError: it differs, or the file is damaged; names file and field.
    """
    if not path.exists():
        unfinished = path.with_suffix(".partial")
        unfinished.write_text(record.model_dump_json(indent=2) + "\n", encoding="utf-8")
        unfinished.replace(path)
        return
    kind = type(record)
    try:
        begun = kind.model_validate_json(path.read_bytes())
    except ValidationError as error:
        raise InvalidInputError(f"{path}: {first_problem(error, kind)}") from error
    if (found := _first_difference(begun, record)) is not None:
        raise InvalidInputError(
            f"{path}: {found.field}: the run here began with {found.before}, this one has "
            f"{found.now}; use a new folder"
        )


class _Difference(NamedTuple):
    field: str
    """With dots between the parts."""
    before: object
    now: object


def _first_difference(begun: Record, record: Record) -> _Difference | None:
    """The first field of two records of one kind that differs.

    A nested record without words of its own, such as settings, is looked into.
    """
    for field in type(record).model_fields:
        before, now = getattr(begun, field), getattr(record, field)
        if before == now:
            continue
        if type(now) is type(before) and type(now).__str__ is Record.__str__:
            inner = _first_difference(before, now)
            assert inner is not None
            return inner._replace(field=f"{field}.{inner.field}")
        return _Difference(field, before, now)
    return None


def _read(file: IO[bytes], path: Path, kind: type[Row]) -> list[Row]:
    """Earlier rows; truncates the incomplete line of a killed run."""
    file.seek(0)
    whole, newline, _ = file.read().rpartition(b"\n")
    file.truncate(len(whole) + len(newline))
    rows = []
    for number, line in enumerate(whole.splitlines(), start=1):
        try:
            rows.append(kind.model_validate_json(line))
        except ValidationError as error:
            raise InvalidInputError(
                f"{path}: line {number}: {first_problem(error, kind)}"
            ) from error
    return rows
