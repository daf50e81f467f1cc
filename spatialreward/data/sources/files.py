"""Finds the files of a local data set, and fingerprints them without reading everything."""

import hashlib
from pathlib import Path
from typing import Any

from spatialreward.data.sources.interface import writable
from spatialreward.errors import InvalidInputError

_END_BYTES = 1 << 20


def find_files(folder: Path, pattern: str) -> tuple[Path, ...]:
    """The files in ``folder`` that match the glob ``pattern``, sorted by their names.

    Raises:
        InvalidInputError: there is no such folder, or no such file in it.
    """
    if not folder.is_dir():
        raise InvalidInputError(f"{folder}: is no folder")
    try:
        files = tuple(sorted(path for path in folder.glob(pattern) if path.is_file()))
    except (NotImplementedError, ValueError) as error:
        raise InvalidInputError(f"files {pattern!r}: expected a pattern: {error}") from error
    if not files:
        raise InvalidInputError(f"{folder}: no files {pattern} here")
    return files


def describe_files(folder: Path, files: tuple[Path, ...]) -> list[dict[str, Any]]:
    """Name, size and fingerprint of each file.

    The fingerprint is the SHA-256 of the first and the last MiB: those hold a Parquet file's footer
    with the place of every column chunk, and reading all of 130 GB would take too long.
    """
    return [
        {
            "file": name_of(folder, path),
            "size_bytes": path.stat().st_size,
            "fingerprint": _fingerprint(path),
        }
        for path in files
    ]


def is_of_the_storage(error: Exception) -> bool:
    """Whether a read error is the storage's fault, not the content's.

    Arrow, bz2 and others report malformed content as an ``OSError`` too, but without an errno.
    """
    return isinstance(error, OSError) and error.errno is not None


def name_of(folder: Path, path: Path) -> str:
    """A file's name in rows and lineage: relative to its data set's folder."""
    return writable(path.relative_to(folder).as_posix())


def _fingerprint(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        digest.update(file.read(_END_BYTES))
        size = file.seek(0, 2)
        file.seek(max(size - _END_BYTES, min(size, _END_BYTES)))
        digest.update(file.read(_END_BYTES))
    return digest.hexdigest()
