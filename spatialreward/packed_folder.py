"""A folder as one stream of bytes, and back; neither end needs room for the stream.

The stream is an uncompressed tar whose bytes depend on names and contents of files alone.
"""

import hashlib
import shutil
import tarfile
from collections.abc import Iterator
from pathlib import Path

from spatialreward.errors import InvalidInputError

CHUNK = 1 << 20
"""Bytes that are held at a time."""


class NotPackedError(ValueError):
    """A stream is not that of a folder; the message says why."""


class Streamed:
    """Pieces of bytes as a file that can be read once; knows length and checksum of what was."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        """Read nothing yet."""
        self._chunks = chunks
        self._ahead = bytearray()
        self._digest = hashlib.sha256()
        self.num_bytes = 0
        """Taken from the pieces so far."""

    @property
    def sha256(self) -> str:
        """Of what was taken from the pieces so far."""
        return self._digest.hexdigest()

    def read(self, size: int) -> bytes:
        """So many bytes, fewer only at the end."""
        while len(self._ahead) < size and (chunk := self._next()):
            self._ahead += chunk
        taken = bytes(self._ahead[:size])
        del self._ahead[:size]
        return taken

    def drain(self) -> None:
        """Take what is left, for its length and checksum."""
        self._ahead.clear()
        while self._next():
            pass

    def _next(self) -> bytes:
        chunk = next(filter(None, self._chunks), b"")
        self._digest.update(chunk)
        self.num_bytes += len(chunk)
        return chunk


def pack(folder: Path) -> Iterator[bytes]:
    """The stream of a folder, in pieces of ``CHUNK`` bytes at most.

    Raises:
        InvalidInputError: a file becomes shorter while it is read.
    """
    num_bytes = 0
    for path in sorted(folder.rglob("*")):
        if not path.is_file():
            continue
        entry = tarfile.TarInfo(path.relative_to(folder).as_posix())
        entry.size = path.stat().st_size
        entry.mode = 0o644
        header = entry.tobuf(tarfile.PAX_FORMAT)
        yield header
        yield from _content(path, entry.size)
        padding = -entry.size % tarfile.BLOCKSIZE
        yield bytes(padding)
        num_bytes += len(header) + entry.size + padding
    # The end of a tar: two empty blocks, and as many as make its length a whole record.
    end = 2 * tarfile.BLOCKSIZE
    yield bytes(end + -(num_bytes + end) % tarfile.RECORDSIZE)


def unpack(packed: Streamed, folder: Path) -> None:
    """Write the files of a stream that ``pack`` has made; no other has its kind of entries only.

    Not ``extractall``: its filters are newer than some Python 3.11.

    Raises:
        NotPackedError: it is no such stream, or would write outside the folder.
    """
    try:
        with tarfile.open(fileobj=packed, mode="r|") as archive:
            for entry in archive:
                path = folder / entry.name
                file = archive.extractfile(entry) if entry.isreg() else None
                if file is None or ".." in path.parts or not path.is_relative_to(folder):
                    raise NotPackedError(f"{entry.name!r}: expected a file inside a folder")
                path.parent.mkdir(parents=True, exist_ok=True)
                with path.open("xb") as target:
                    shutil.copyfileobj(file, target, CHUNK)
    except tarfile.TarError as error:
        raise NotPackedError(f"not a folder that was stored: {error}") from error


def _content(path: Path, size: int) -> Iterator[bytes]:
    left = size
    with path.open("rb") as file:
        while left:
            chunk = file.read(min(left, CHUNK))
            if not chunk:
                raise InvalidInputError(f"{path}: became {left} bytes shorter while it was read")
            left -= len(chunk)
            yield chunk
