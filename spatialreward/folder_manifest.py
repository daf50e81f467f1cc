"""The content of a folder: path, size and SHA-256 of each file, and one digest over all.

Only names and contents of files count: times, modes and empty subfolders do not. So the same
files give the same digest everywhere.
"""

import hashlib
import itertools
import json
import os
import unicodedata
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property, partial
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, NonNegativeInt, ValidationError, model_validator

from spatialreward.artifacts import MANIFEST_NAME
from spatialreward.errors import InvalidInputError, StorageError
from spatialreward.records import Record
from spatialreward.validation import first_problem

NUM_THREADS = 4
"""Files hashed, sent or fetched at a time."""
VERSION: Literal[1] = 1
"""Version of the manifest's format."""


def _checked_path(path: str) -> str:
    """Check that a path stays below its folder on every machine and is a valid object key.

    Raises:
        ValueError: it does not, or is not.
    """
    parts = path.split("/")
    if {"", ".", ".."} & set(parts):
        raise ValueError(f"path {path!r}: expected one below the folder, without '.' and '..'")
    if any(unicodedata.category(character) in ("Cc", "Cs") for character in path):
        raise ValueError(f"path {path!r}: expected UTF-8 without control characters")
    if parts[0] == MANIFEST_NAME:
        raise ValueError(f"path {path!r}: this name is the manifest's")
    return path


class FileEntry(Record):
    """One file of a folder."""

    path: Annotated[str, AfterValidator(_checked_path)]
    """Relative to the folder, with ``/`` as separator."""
    size: NonNegativeInt
    """In bytes."""
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")

    @classmethod
    def of(cls, file: Path, path: str) -> Self:
        """Hash a file, whose path in the artifact is ``path``; reads all of it.

        Raises:
            InvalidInputError: it is unreadable, or no artifact can have such a path.
        """
        try:
            with file.open("rb") as reading:
                digest = hashlib.file_digest(reading, "sha256").hexdigest()
                size = reading.tell()
        except OSError as error:
            raise InvalidInputError(f"{file}: {error.strerror}") from error
        try:
            return cls(path=path, size=size, sha256=digest)
        except ValidationError as error:
            said = error.errors()[0]["msg"].removeprefix("Value error, ")
            raise InvalidInputError(f"{file.parent}: {said}") from error


class FolderManifest(Record):
    """All files of a folder, ordered by path; may be empty."""

    version: Literal[1] = VERSION
    files: tuple[FileEntry, ...]

    @model_validator(mode="after")
    def _files_can_be_side_by_side(self) -> Self:
        paths = [file.path for file in self.files]
        for one, following in itertools.pairwise(paths):
            if one >= following:
                raise ValueError(f"path {following!r}: expected each path once, in order")
        known = set(paths)
        for path in paths:
            parts = path.split("/")
            for length in range(1, len(parts)):
                if (parent := "/".join(parts[:length])) in known:
                    raise ValueError(f"path {path!r}: {parent!r} is a file")
        return self

    @classmethod
    def of(cls, folder: Path) -> Self:
        """Hash a folder; reads all of its files. Links to files count as the files.

        Raises:
            InvalidInputError: there is no such folder, or something in it is neither file nor
            folder, links to a folder, is unreadable, or has a name that no artifact can have.
        """
        with ThreadPoolExecutor(NUM_THREADS, thread_name_prefix="digest") as pool:
            files = list(pool.map(partial(_entry, folder), _paths_in(folder)))
        return cls(files=tuple(sorted(files, key=lambda file: file.path)))

    @classmethod
    def parse(cls, data: bytes, name: str) -> Self:
        """Parse a manifest; ``name`` identifies it in errors.

        Raises:
            StorageError: it is malformed, names a path outside its folder, or was written by a
            later version.
        """
        try:
            fields = json.loads(data)
        except ValueError as error:
            raise StorageError(f"{name}: is not JSON: {error}") from error
        found = fields.get("version") if isinstance(fields, dict) else None
        if isinstance(found, int) and found > VERSION:
            raise StorageError(
                f"{name}: has version {found}, this version of spatialreward reads {VERSION}; "
                "a later one is needed"
            )
        try:
            return cls.model_validate(fields)
        except ValidationError as error:
            raise StorageError(f"{name}: {first_problem(error, cls, fields)}") from error

    @cached_property
    def content(self) -> bytes:
        """The manifest as JSON; identical bytes for identical files."""
        fields = self.model_dump(mode="json")
        text = json.dumps(fields, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        return text.encode()

    @property
    def digest(self) -> str:
        """SHA-256 of ``content``."""
        return hashlib.sha256(self.content).hexdigest()

    @property
    def size_bytes(self) -> int:
        """Total size of all files."""
        return sum(file.size for file in self.files)


def _paths_in(folder: Path) -> Iterator[Path]:
    def refuse(error: OSError) -> None:
        raise InvalidInputError(f"{error.filename}: {error.strerror}") from error

    for parent, folders, names in os.walk(folder, onerror=refuse):
        for name in folders:
            if (path := Path(parent, name)).is_symlink():
                raise InvalidInputError(f"{path}: is a link to a folder, expected the folder")
        for name in names:
            if not (path := Path(parent, name)).is_file():
                raise InvalidInputError(f"{path}: is neither a file nor a folder")
            yield path


def _entry(folder: Path, path: Path) -> FileEntry:
    return FileEntry.of(path, path.relative_to(folder).as_posix())


def digest_file(path: Path) -> str:
    """SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def digest_folder(folder: Path) -> str:
    """SHA-256 of a folder, as its reference would carry it; writes nothing.

    Raises:
        InvalidInputError: as ``FolderManifest.of``.
    """
    return FolderManifest.of(folder).digest
