"""Where a packed data set lies: a folder on disk here, an S3 prefix in ``s3``; one interface."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

from spatialreward.data.packing.manifest import FILE_NAME, PackedShard
from spatialreward.errors import InvalidInputError

Buffer = bytes | bytearray


class ShardReader(Protocol):
    """Reads parts of shards, for one process and one thread at a time."""

    def fetch(self, shard: PackedShard, start: int, length: int) -> Buffer:
        """Bytes ``start`` to ``start + length`` of a shard.

        Raises:
            InvalidInputError: the shard is not there, or not of the size that the manifest says.
        """
        ...

    def close(self) -> None:
        """Give up what is being read, from any thread; nothing can be read after that."""
        ...


class ShardFolder(Protocol):
    """A packed data set's files. It can be pickled, and holds no connection."""

    def __str__(self) -> str:
        """What an error calls it."""
        ...

    def read_manifest(self) -> bytes:
        """The manifest's bytes.

        Raises:
            InvalidInputError: there is none.
        """
        ...

    def sizes(self) -> Mapping[str, int]:
        """Bytes of each file, by name."""
        ...

    def connect(self) -> ShardReader:
        """A reader of this process's own."""
        ...


class LocalFolder:
    """A folder on a disk that every worker can read."""

    def __init__(self, path: Path) -> None:
        """Of a packed data set."""
        self.path = path

    def __str__(self) -> str:
        """The path."""
        return str(self.path)

    def read_manifest(self) -> bytes:
        """As ``ShardFolder``."""
        try:
            return (self.path / FILE_NAME).read_bytes()
        except (FileNotFoundError, NotADirectoryError) as error:
            raise InvalidInputError(
                f"{self.path}: no packed data set here, expected {FILE_NAME}"
            ) from error

    def sizes(self) -> Mapping[str, int]:
        """As ``ShardFolder``."""
        return {path.name: path.stat().st_size for path in self.path.iterdir() if path.is_file()}

    def connect(self) -> "LocalReader":
        """As ``ShardFolder``."""
        return LocalReader(self.path)


class LocalReader:
    """Reads parts of files."""

    def __init__(self, folder: Path) -> None:
        """Of the shards in ``folder``."""
        self._folder = folder

    def fetch(self, shard: PackedShard, start: int, length: int) -> Buffer:
        """As ``ShardReader``."""
        path = self._folder / shard.name
        try:
            with path.open("rb") as file:
                check_size(str(path), os.fstat(file.fileno()).st_size, shard)
                file.seek(start)
                return file.read(length)
        except FileNotFoundError as error:
            raise InvalidInputError(f"{path}: shard is missing") from error

    def close(self) -> None:
        """As ``ShardReader``; no read of a disk takes long enough to be given up."""


def check_size(name: str, found: int, shard: PackedShard) -> None:
    """Refuse a shard that is not the one in the manifest.

    Raises:
        InvalidInputError: it has another size.
    """
    if found != shard.size_bytes:
        raise InvalidInputError(
            f"{name}: shard has {found:,} bytes, expected {shard.size_bytes:,} as {FILE_NAME} says"
        )
