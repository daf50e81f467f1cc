"""The shard layout of a kind of record, from which writing and reading follow."""

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
    """Includes the columns ``picture_bytes``, ``origin_file`` and ``origin_row``."""
    to_row: Callable[[Any], dict[str, Any]]
    check: Callable[[pa.Schema, str], None]
    """Refuses the schema of another kind of file; the text names the file."""
    dictionaries: tuple[str, ...]
    """Columns with few distinct values."""
    plural: str
    """Plural of the record's kind, for messages."""

    @property
    def compression(self) -> dict[str, str]:
        """By column: pictures are compressed already and stored as they are."""
        return {_path(field): "NONE" if _holds_files(field) else "ZSTD" for field in self.schema}

    @property
    def with_statistics(self) -> list[str]:
        """Columns with useful minimum and maximum: all but pictures."""
        return [_path(field) for field in self.schema if not _holds_files(field)]


@contextmanager
def opened(shard: Path | BinaryIO, name: str, layout: Layout) -> Iterator[pq.ParquetFile]:
    """Open a shard for reading.

    Raises:
        InvalidInputError: it is missing, damaged, or has another layout; ``name`` identifies it in
            the message.
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
    """Refuse a file of another kind or version.

    Args:
        schema: the file's, with its version under ``key`` in the metadata.
        key: of that version.
        reads: the supported version.
        name: of the file, for messages.
        kind: of its rows, for messages.
        version: wording of the version in messages, with ``{}`` for the number.

    Raises:
        InvalidInputError: it is one.
    """
    found = (schema.metadata or {}).get(key)
    if found is None or not found.isdigit():
        raise InvalidInputError(f"{name}: is not a shard of {kind}")
    check_number(int(found), reads, name, version)


def check_number(found: int, reads: int, name: str, version: str) -> None:
    """Refuse another version than the supported one; arguments as for ``check_version``.

    Raises:
        InvalidInputError: it is another one; advises what to do.
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
