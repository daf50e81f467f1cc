"""Streams the samples of one WebDataset tar, and detects exactly where it breaks.

Uses ``tarfile`` instead of the ``webdataset`` library: for a truncated tar, the library (1.0.2)
passes the last, incomplete sample on as complete, and ``tarfile`` by itself takes a damaged header
for the end. Nothing is unpacked, so names in a tar are harmless.
"""

import lzma
import tarfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath
from typing import NamedTuple, Self

from spatialreward.data.sources.files import is_of_the_storage
from spatialreward.data.sources.interface import Reason, RowError
from spatialreward.images import MAX_FILE_BYTES

_BROKEN = (tarfile.TarError, EOFError, lzma.LZMAError, zlib.error, ValueError)


class Sample(NamedTuple):
    """Consecutive files of a tar that share a name up to its first dot."""

    number: int
    """From 0 on."""
    key: str
    files: dict[str, bytes | None]
    """By extension; None for unrequested data."""
    problem: RowError | None
    complete: bool
    """Whether the next sample or the tar's end followed it."""


class _Header(tarfile.TarInfo):
    @classmethod
    def fromtarfile(cls, tar: tarfile.TarFile) -> Self:
        try:
            return super().fromtarfile(tar)
        except tarfile.EOFHeaderError:
            raise
        except tarfile.HeaderError as error:
            # Only the standard end marker is the end.
            raise tarfile.ReadError(f"{error} at byte {tar.offset:,}") from error


def samples(
    path: Path, is_wanted: Callable[[int], bool], is_read: Callable[[str], bool]
) -> Iterator[Sample | str]:
    """The tar's samples, and finally the reason if reading broke off.

    Args:
        path: the tar; detects gzip, bzip2 and xz.
        is_wanted: whether a sample's data is needed, by number.
        is_read: whether the data of a file is needed, by extension.

    Raises:
        OSError: the storage failed, not the tar.
    """
    current: _Growing | None = None
    seen: set[str] = set()
    try:
        with tarfile.open(path, "r:*", tarinfo=_Header) as tar:
            while (member := tar.next()) is not None:
                # Otherwise it would remember every file of the tar.
                tar.members = []
                name = PurePosixPath(member.name)
                base, dot, extension = name.name.partition(".")
                # Names with a leading dot are metadata of the packing system; sparse files may
                # expand to any size.
                if not member.isreg() or member.issparse() or not (base and dot):
                    continue
                key = str(name.with_name(base))
                if current is None or key != current.key:
                    if current is not None:
                        yield current.sample(complete=True)
                    number = 0 if current is None else current.number + 1
                    current = _Growing(number, key, is_repeated=key in seen)
                    seen.add(key)
                extension = extension.lower()
                is_needed = is_wanted(current.number) and is_read(extension)
                current.add(extension, member, tar, is_needed=is_needed)
    except (*_BROKEN, OSError) as error:
        if is_of_the_storage(error):
            raise
        if current is not None:
            yield current.sample(complete=False)
        yield " ".join(str(error).split()) or type(error).__name__
        return
    if current is not None:
        yield current.sample(complete=True)


class _Growing:
    def __init__(self, number: int, key: str, *, is_repeated: bool) -> None:
        self.number = number
        self.key = key
        self._files: dict[str, bytes | None] = {}
        self._problem: RowError | None = None
        if is_repeated:
            detail = f"the name {key} comes again after other samples"
            self._problem = RowError(Reason.UNREADABLE_ROW, detail)

    def add(
        self, extension: str, member: tarfile.TarInfo, tar: tarfile.TarFile, *, is_needed: bool
    ) -> None:
        data = None
        if is_needed and member.size <= MAX_FILE_BYTES:
            opened = tar.extractfile(member)
            assert opened is not None, "a regular file can be opened"
            data = opened.read()
        else:
            # Detect a truncated tar independently of the wanted samples.
            _reach_the_end_of(member, tar)
            if is_needed:
                detail = f"{member.name}: more than the {MAX_FILE_BYTES:,} bytes allowed"
                self._problem = RowError(Reason.UNREADABLE_ROW, detail)
        if extension in self._files:
            detail = f"two files {self.key}.{extension}"
            self._problem = RowError(Reason.UNREADABLE_ROW, detail)
        self._files[extension] = data

    def sample(self, *, complete: bool) -> Sample:
        return Sample(self.number, self.key, self._files, self._problem, complete)


def _reach_the_end_of(member: tarfile.TarInfo, tar: tarfile.TarFile) -> None:
    if member.size and tar.fileobj is not None:
        tar.fileobj.seek(member.offset_data + member.size - 1)
        if not tar.fileobj.read(1):
            raise tarfile.ReadError("unexpected end of data")
