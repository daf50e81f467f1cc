"""Reads benchmarks in their published folders and files.

Drops unreadable rows or files by name, and continues. Pictures are read once for their digest and
header, and again for judging.
"""

import bisect
import hashlib
import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any, NamedTuple, Protocol, TypeVar

import pyarrow as pa
import pyarrow.parquet as pq

from spatialreward.benchmarks.interface import Item, LeftOut, Picture, Published
from spatialreward.errors import InvalidInputError
from spatialreward.images import picture_size
from spatialreward.progress import track
from spatialreward.reading import parse_json, read_text

_IMAGES = "images/"
_KEY_LETTERS = 32


class _WithId(Protocol):
    @property
    def id(self) -> str: ...


Made = TypeVar("Made", bound=_WithId)


class FilePicture(NamedTuple):
    """A picture in a file of its own."""

    path: Path
    name: str
    """The benchmark's name for it."""

    @property
    def where(self) -> str:
        """See ``Picture``."""
        return self.name

    def read(self) -> bytes:
        """See ``Picture``."""
        try:
            return self.path.read_bytes()
        except OSError as error:
            raise InvalidInputError(f"picture {self.name}: {error.strerror or error}") from error


class TablePicture(NamedTuple):
    """A picture inside a Parquet or Arrow file."""

    path: Path
    row: int
    column: str
    index: int | None = None
    """Index within a list of pictures."""

    @property
    def where(self) -> str:
        """See ``Picture``."""
        place = "" if self.index is None else f"[{self.index}]"
        return f"{self.path.name} row {self.row} {self.column}{place}"

    def read(self) -> bytes:
        """See ``Picture``."""
        value = _opened(self.path).row(self.row, (self.column,))[self.column]
        if self.index is not None:
            value = value[self.index]
        data = value.get("bytes") if isinstance(value, dict) else value
        if not isinstance(data, bytes):
            raise InvalidInputError(f"picture {self.where}: is not in the file")
        return data


class Row(NamedTuple):
    """One row, with the location of its pictures."""

    where: str
    """File and number."""
    fields: dict[str, Any]
    table: Path | None = None
    """Its Parquet or Arrow file; None: pictures are files."""
    number: int = 0
    folder: Path = Path()
    """Root of relative picture paths."""

    def text(self, field: str) -> str:
        """A non-empty text.

        Raises:
            InvalidInputError: there is none; names the field.
        """
        value = self.fields.get(field)
        if not isinstance(value, str) or not value.strip():
            raise InvalidInputError(f"{field}: expected text, got {value!r}"[:200])
        return value

    def texts(self, field: str) -> list[str]:
        """A list of texts.

        Raises:
            InvalidInputError: it is not; names the field.
        """
        value = self.fields.get(field)
        if not isinstance(value, list) or not all(isinstance(one, str) for one in value):
            raise InvalidInputError(f"{field}: expected a list of texts, got {value!r}"[:200])
        return value

    def picture(self, field: str) -> Picture:
        """The picture of a field.

        Raises:
            InvalidInputError: there is none; names the field.
        """
        if self.table is not None:
            return TablePicture(self.table, self.number, field)
        return self.file(self.fields.get(field), field)

    def pictures(self, field: str) -> list[Picture]:
        """The pictures of a field that is a list.

        Raises:
            InvalidInputError: it is not; names the field.
        """
        value = self.fields.get(field)
        if not isinstance(value, list):
            raise InvalidInputError(f"{field}: expected a list of pictures, got {value!r}"[:200])
        if self.table is not None:
            return [
                TablePicture(self.table, self.number, field, place) for place in range(len(value))
            ]
        return [self.file(one, f"{field}[{place}]") for place, one in enumerate(value)]

    def file(self, path: Any, field: str) -> Picture:
        """A picture by path; in the authors' own paths, the part after ``images/`` counts.

        Raises:
            InvalidInputError: it is not a path, or leads out of the folder.
        """
        if not isinstance(path, str) or not path:
            raise InvalidInputError(f"{field}: expected a path, got {path!r}"[:200])
        if Path(path).is_absolute():
            path = _IMAGES + path.rpartition(f"/{_IMAGES}")[2].lstrip("/")
        if ".." in Path(path).parts:
            raise InvalidInputError(f"{field}: {path}: expected a path below the folder")
        return FilePicture(self.folder / path, path)


class TableFile:
    """Rows of a Parquet or Arrow file by number; holds one row group in memory."""

    def __init__(self, path: Path) -> None:
        """Open the file.

        Raises:
            InvalidInputError: it is unreadable.
        """
        self.path = path
        try:
            if path.suffix == ".parquet":
                self._parquet: pq.ParquetFile | None = pq.ParquetFile(path)
                self.columns = self._parquet.schema_arrow.names
                groups = range(self._parquet.num_row_groups)
                sizes = [self._parquet.metadata.row_group(one).num_rows for one in groups]
            else:
                self._parquet = None
                self.columns = self._mapped.column_names
                sizes = [self._mapped.num_rows]
        except (pa.ArrowException, OSError) as error:
            raise InvalidInputError(f"{path.name}: cannot be read: {error}") from error
        self._ends = list(itertools.accumulate(sizes))
        self._group: tuple[int, pa.Table] | None = None

    def __len__(self) -> int:
        """Number of rows."""
        return self._ends[-1] if self._ends else 0

    def row(self, number: int, columns: Sequence[str]) -> dict[str, Any]:
        """Some fields of a row."""
        group = bisect.bisect_right(self._ends, number)
        start = self._ends[group - 1] if group else 0
        rows = self._rows_of(group).select(list(columns)).slice(number - start, 1)
        return rows.to_pylist()[0]

    @cached_property
    def _mapped(self) -> pa.Table:
        source = pa.memory_map(str(self.path))
        try:
            return pa.ipc.open_stream(source).read_all()
        except pa.ArrowInvalid:
            return pa.ipc.open_file(source).read_all()

    def _rows_of(self, group: int) -> pa.Table:
        if self._parquet is None:
            return self._mapped
        if self._group is None or self._group[0] != group:
            try:
                self._group = (group, self._parquet.read_row_group(group))
            except (pa.ArrowException, OSError) as error:
                raise InvalidInputError(f"{self.path.name}: cannot be read: {error}") from error
        return self._group[1]


_opened = lru_cache(maxsize=2)(TableFile)


def table_rows(paths: Iterable[Path], columns: Sequence[str]) -> Iterator[Row | LeftOut]:
    """Rows of Parquet or Arrow files; a file without one of the columns is another version."""
    for path in paths:
        try:
            table = _opened(path)
        except InvalidInputError as error:
            yield LeftOut(path.name, str(error))
            continue
        if missing := [column for column in columns if column not in table.columns]:
            yield LeftOut(path.name, _of_another_version(missing, table.columns))
            continue
        for number in range(len(table)):
            where = f"{path.name} row {number}"
            try:
                yield Row(where, table.row(number, columns), path, number)
            except InvalidInputError as error:
                yield LeftOut(where, str(error))


def json_rows(
    path: Path, columns: Sequence[str], listed: Callable[[str], Any]
) -> Iterator[Row | LeftOut]:
    """Rows of a JSON file with pictures beside it.

    Args:
        path: the file.
        columns: required fields of a row.
        listed: extracts the rows from the file's text.
    """
    try:
        found = listed(read_text(path))
    except InvalidInputError as error:
        yield LeftOut(path.name, str(error))
        return
    if not isinstance(found, list):
        yield LeftOut(path.name, f"expected a list of rows, got {type(found).__name__}")
        return
    for number, fields in enumerate(found):
        where = f"{path.name} row {number}"
        if not isinstance(fields, dict):
            yield LeftOut(where, f"expected an object, got {type(fields).__name__}")
        elif missing := [column for column in columns if column not in fields]:
            yield LeftOut(where, _of_another_version(missing, list(fields)))
        else:
            yield Row(where, fields, None, number, path.parent)


def json_lines(text: str) -> list[Any]:
    """The values of JSON Lines; a malformed line counts as a row that is no object."""
    found: list[Any] = []
    for line in text.splitlines():
        if line.strip():
            try:
                found.append(parse_json(line))
            except InvalidInputError as error:
                found.append(str(error))
    return found


def collect(rows: Iterable[Row | LeftOut], item_of: Callable[[Row], Item]) -> Published:
    """Convert rows to items; see ``gather``."""
    return Published(*gather(rows, item_of))


def gather(
    rows: Iterable[Row | LeftOut], made_of: Callable[[Row], Made]
) -> tuple[tuple[Made, ...], tuple[LeftOut, ...]]:
    """Convert each row; drops malformed rows and repeated ids.

    Raises:
        InvalidInputError: no row is left; gives the reason of the first dropped row or file.
    """
    made: dict[str, Made] = {}
    left_out = []
    for row in track(rows, total=None, description="reading the benchmark"):
        if isinstance(row, LeftOut):
            left_out.append(row)
            continue
        try:
            one = made_of(row)
            if one.id in made:
                raise InvalidInputError(f"{one.id}: comes twice")
        except InvalidInputError as error:
            left_out.append(LeftOut(row.where, str(error)))
        else:
            made[one.id] = one
    if not made:
        why = f"{left_out[0].where}: {left_out[0].reason}" if left_out else "the files have no rows"
        raise InvalidInputError(f"no row can be measured on: {why}")
    return tuple(made.values()), tuple(left_out)


def files_in(folder: Path, *patterns: str) -> list[Path]:
    """The files of the first pattern with a match, by name.

    Raises:
        InvalidInputError: there is no such folder, or none of them in it.
    """
    if not folder.is_dir():
        raise InvalidInputError(f"{folder}: there is no such folder")
    for pattern in patterns:
        if found := sorted(folder.glob(pattern)):
            return found
    raise InvalidInputError(f"{folder}: expected {' or '.join(patterns)} in it")


def digest_of(picture: Picture) -> str:
    """SHA-256 of a picture file, after checking its header.

    Raises:
        InvalidInputError: it is missing or not a picture; names it.
    """
    data = picture.read()
    picture_size(data, picture.where)
    return hashlib.sha256(data).hexdigest()


def key_of(*parts: str) -> str:
    """A deterministic key of the parts."""
    return hashlib.sha256("\0".join(parts).encode("utf-8", "replace")).hexdigest()[:_KEY_LETTERS]


def _of_another_version(missing: Sequence[str], found: Sequence[str]) -> str:
    return f"another version? lacks {', '.join(missing)}; has {', '.join(found)}"
