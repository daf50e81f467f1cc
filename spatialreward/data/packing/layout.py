"""How a kind of record is laid out in a shard; writing and reading one follow from it."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from spatialreward.errors import InvalidInputError


class Layout(NamedTuple):
    """Columns of one kind of record, the pictures last."""

    schema: pa.Schema
    """Has the columns ``picture_bytes``, ``origin_file`` and ``origin_row`` among others."""
    to_row: Callable[[Any], dict[str, Any]]
    check: Callable[[pa.Schema, str], None]
    """Refuses the schema of a file that is no such shard; the text is what it calls the file."""
    dictionaries: tuple[str, ...]
    """Columns with few different values."""
    plural: str
    """What the records are called in a message."""

    @property
    def compression(self) -> dict[str, str]:
        """By column: pictures are compressed already and are stored as they are."""
        return {_path(field): "NONE" if _holds_files(field) else "ZSTD" for field in self.schema}

    @property
    def with_statistics(self) -> list[str]:
        """Columns whose smallest and largest value tell a reader something: all but pictures."""
        return [_path(field) for field in self.schema if not _holds_files(field)]


@contextmanager
def opened(shard: Path | BinaryIO, name: str, layout: Layout) -> Iterator[pq.ParquetFile]:
    """A shard to read from.

    Raises:
        InvalidInputError: it is not there, damaged, or no shard of this layout; ``name`` is what
            the message calls it.
    """
    try:
        with pq.ParquetFile(shard, page_checksum_verification=True) as file:
            layout.check(file.schema_arrow, name)
            yield file
    except FileNotFoundError as error:
        raise InvalidInputError(f"{name}: there is no such shard") from error
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        raise InvalidInputError(f"{name}: is damaged or no Parquet file: {error}") from error


def check_version(
    schema: pa.Schema, key: bytes, reads: int, name: str, *, kind: str, version: str
) -> None:
    """Refuse a file of another kind, or one that another version of the library wrote.

    Args:
        schema: the file's, with its version under ``key`` in the metadata.
        key: of that version.
        reads: the version that is read here.
        name: what the message calls the file.
        kind: what its rows are called in a message.
        version: how a message says the version, with ``{}`` in the number's place.

    Raises:
        InvalidInputError: it is one.
    """
    found = (schema.metadata or {}).get(key)
    if found is None or not found.isdigit():
        raise InvalidInputError(f"{name}: is not a shard of {kind}")
    check_number(int(found), reads, name, version)


def check_number(found: int, reads: int, name: str, version: str) -> None:
    """Refuse a version that is not the one that is read here; arguments are ``check_version``'s.

    Raises:
        InvalidInputError: it is another one; says what to do.
    """
    if found != reads:
        remedy = "a later one is needed" if found > reads else "build the data set again"
        raise InvalidInputError(
            f"{name}: has {version.format(found)}, this version of spatialreward reads "
            f"{reads}; {remedy}"
        )


def _path(field: pa.Field) -> str:
    return f"{field.name}.list.element" if pa.types.is_list(field.type) else field.name


def _holds_files(field: pa.Field) -> bool:
    kind = field.type.value_type if pa.types.is_list(field.type) else field.type
    return pa.types.is_binary(kind)
