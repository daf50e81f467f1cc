"""Transfers files to and from a prefix of the object store, several at a time.

Files are streamed: memory holds only the chunks in flight, and the disk no second copy.
"""

import hashlib
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from pathlib import Path
from typing import Self

import urllib3
from minio import Minio
from minio.error import MinioException, S3Error

from spatialreward.errors import ArtifactError, InvalidInputError, StorageError
from spatialreward.folder_manifest import NUM_THREADS, FileEntry, digest_file
from spatialreward.progress import track

CHUNK = 1 << 20
"""Bytes read or written at a time."""
MISSING = {"NoSuchKey", "NoSuchBucket", "NoSuchObject"}
"""Error codes of the store for a missing object."""
_CHECKSUM = "sha256"
"""Metadata key of an object; MinIO's client prefixes it with ``x-amz-meta-``."""
_SHOWN_FROM_BYTES = 64 * CHUNK
"""Smaller transfers show no progress."""
_TICK_S = 0.5

Failure = Callable[[str, Exception], StorageError]
"""Converts an error of MinIO's client into one that names the URI."""


class _StoppedError(Exception):
    """Another file of the same artifact failed."""


class Moved:
    """Counter of transferred bytes, shared by all threads."""

    def __init__(self) -> None:
        """Start at zero."""
        self._lock = threading.Lock()
        self._stopped = False
        self.num_bytes = 0

    def add(self, num_bytes: int) -> None:
        """Add transferred bytes."""
        if self._stopped:
            raise _StoppedError
        with self._lock:
            self.num_bytes += num_bytes

    def stop(self) -> None:
        """Make every thread stop at its next chunk."""
        self._stopped = True


class Prefix:
    """A prefix of the store that holds the files of one artifact."""

    def __init__(self, client: Minio, uri: str, failure: Failure) -> None:
        """Name the prefix; sends no request yet.

        Raises:
            InvalidInputError: ``uri`` is not ``s3://BUCKET/PREFIX``.
        """
        self._client = client
        self._uri = uri
        self._bucket, self._key = split(uri)
        self._failure = failure

    def send_all(self, folder: Path, files: Sequence[FileEntry]) -> None:
        """Store files of ``folder``; skips those that exist with their checksum.

        Raises:
            InvalidInputError: a file no longer matches its entry.
            StorageError: the store refused an upload.
        """
        self._move(lambda file, moved: self._send(folder / file.path, file, moved), files, "to")

    def send(self, path: Path, file: FileEntry) -> None:
        """Store one file from any local path; as ``send_all``."""
        self._send(path, file, Moved())

    def require_all(self, files: Iterable[FileEntry]) -> None:
        """Check that files exist, each with its size and the checksum in its metadata.

        Raises:
            ArtifactError: one is missing or differs.
            StorageError: the store is unreachable.
        """
        for file in files:
            uri = f"{self._uri}/{file.path}"
            try:
                is_there = self._holds(f"{self._key}/{file.path}", file)
            except (MinioException, urllib3.exceptions.HTTPError) as error:
                raise self._failure(uri, error) from error
            if not is_there:
                raise ArtifactError(
                    f"{uri}: is missing or was altered, expected {file.size:,} bytes of sha256 "
                    f"{file.sha256}"
                )

    def fetch_all(self, folder: Path, partial: Path, files: Sequence[FileEntry]) -> None:
        """Download files into ``folder``; skips those that exist with their checksum.

        Args:
            folder: receives a file once it is complete and verified.
            partial: holds unfinished files, also after an error; the next attempt resumes them.
            files: in the same order in every attempt.

        Raises:
            ArtifactError: a file is missing, or differs from its entry.
            StorageError: the store is unreachable, or the disk refuses a file.
        """
        unfinished = {file.path: partial / str(number) for number, file in enumerate(files)}

        def work(file: FileEntry, moved: Moved) -> None:
            target = folder / file.path
            try:
                self._fetch(file, target, unfinished[file.path], moved)
            except OSError as error:
                uri = f"{self._uri}/{file.path}"
                raise StorageError(f"{uri} to {target}: {error.strerror}") from error

        self._move(work, files, "from")

    def _move(
        self, work: Callable[[FileEntry, Moved], None], files: Sequence[FileEntry], way: str
    ) -> None:
        moved, size = Moved(), sum(file.size for file in files)
        with ThreadPoolExecutor(NUM_THREADS, thread_name_prefix="artifact") as pool:
            futures = [pool.submit(work, file, moved) for file in files]
            mebibytes: Iterable[None] = _mebibytes(futures, moved)
            if size >= _SHOWN_FROM_BYTES:
                what = f"MiB {way} {self._uri}"
                mebibytes = track(mebibytes, total=size // CHUNK, description=what)
            try:
                for _ in mebibytes:
                    pass
            finally:
                moved.stop()
                pool.shutdown(wait=True, cancel_futures=True)
        failures = (future.exception() for future in futures if not future.cancelled())
        errors = [error for error in failures if error is not None]
        if errors:
            raise min(errors, key=lambda error: isinstance(error, _StoppedError))

    def _send(self, path: Path, file: FileEntry, moved: Moved) -> None:
        key = f"{self._key}/{file.path}"
        try:
            if self._holds(key, file):
                moved.add(file.size)
                return
            with _Unchanged(path, file, moved) as reading:
                self._client.put_object(
                    self._bucket, key, reading, file.size, metadata={_CHECKSUM: file.sha256}
                )
        except (MinioException, urllib3.exceptions.HTTPError) as error:
            raise self._failure(f"{self._uri}/{file.path}", error) from error

    def _holds(self, key: str, file: FileEntry) -> bool:
        try:
            found = self._client.stat_object(self._bucket, key)
        except S3Error as error:
            if error.code in MISSING:
                return False
            raise
        checksum = (found.metadata or {}).get(f"x-amz-meta-{_CHECKSUM}")
        return found.size == file.size and checksum == file.sha256

    def _fetch(self, file: FileEntry, target: Path, unfinished: Path, moved: Moved) -> None:
        target.parent.mkdir(parents=True, exist_ok=True)
        if target.is_file() and digest_file(target) == file.sha256:
            moved.add(file.size)
            return
        is_continued = unfinished.exists()
        found = self._receive(file, unfinished, moved)
        if is_continued and found != file.sha256:
            # The partial bytes of the previous attempt may be at fault, not the store's.
            unfinished.unlink()
            found = self._receive(file, unfinished, moved)
        if found != file.sha256:
            unfinished.unlink()
            raise ArtifactError(
                f"{self._uri}/{file.path}: expected sha256 {file.sha256}, got {found}"
            )
        unfinished.replace(target)

    def _receive(self, file: FileEntry, unfinished: Path, moved: Moved) -> str:
        """Download the rest of a file; returns the SHA-256 of all of it.

        Raises:
            ArtifactError: the object is missing, or has another size.
            StorageError: the store is unreachable.
        """
        with unfinished.open("a+b") as target:
            target.seek(0)
            digest = hashlib.file_digest(target, "sha256")
            offset = target.tell()
            moved.add(offset)
            if offset < file.size:
                for chunk in self._from(file, offset):
                    moved.add(len(chunk))
                    digest.update(chunk)
                    target.write(chunk)
        return digest.hexdigest()

    def _from(self, file: FileEntry, offset: int) -> Iterator[bytes]:
        uri = f"{self._uri}/{file.path}"
        try:
            response = self._client.get_object(
                self._bucket, f"{self._key}/{file.path}", offset=offset
            )
            try:
                size = offset + int(response.headers["Content-Length"])
                if size != file.size:
                    raise ArtifactError(f"{uri}: expected {file.size:,} bytes, got {size:,}")
                yield from response.stream(CHUNK)
            finally:
                response.close()
                response.release_conn()
        except (MinioException, urllib3.exceptions.HTTPError) as error:
            raise self._failure(uri, error) from error


class _Unchanged:
    """A file as MinIO's client reads it; a changed file fails before its last bytes are sent."""

    def __init__(self, path: Path, file: FileEntry, moved: Moved) -> None:
        self._path = path
        self._file = file
        self._moved = moved
        self._digest = hashlib.sha256()
        self._left = file.size

    def __enter__(self) -> Self:
        try:
            self._reading = self._path.open("rb")
        except OSError as error:
            raise InvalidInputError(f"{self._path}: {error.strerror}") from error
        return self

    def __exit__(self, *raised: object) -> None:
        self._reading.close()

    def read(self, size: int) -> bytes:
        chunk = self._reading.read(min(size, self._left))
        self._moved.add(len(chunk))
        self._digest.update(chunk)
        self._left -= len(chunk)
        is_whole = not self._left and self._digest.hexdigest() == self._file.sha256
        if not chunk or not (self._left or is_whole):
            raise InvalidInputError(f"{self._path}: was changed while it was stored")
        return chunk


def split(uri: str) -> tuple[str, str]:
    """Bucket and key of a URI.

    Raises:
        InvalidInputError: it is not ``s3://BUCKET/KEY``.
    """
    bucket, _, key = uri.removeprefix("s3://").partition("/")
    if not uri.startswith("s3://") or not bucket or not key:
        raise InvalidInputError(f"{uri!r}: expected s3://BUCKET/KEY")
    return bucket, key


def _mebibytes(futures: Sequence[Future[None]], moved: Moved) -> Iterator[None]:
    """Yield once per transferred MiB, until all is done or one transfer failed."""
    shown = 0
    while True:
        done, waiting = wait(futures, _TICK_S, FIRST_EXCEPTION)
        for _ in range(shown, now := moved.num_bytes // CHUNK):
            yield
        shown = now
        if not waiting or any(future.exception() for future in done):
            return
