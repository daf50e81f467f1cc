"""Artifacts in an S3 store, handed from step to step as an address with a checksum.

A folder becomes one tar file whose bytes depend on names and contents alone, so the same folder
always has the same checksum, and what a step fetches is what another step has put.
"""

import hashlib
import io
import json
import os
import re
import tarfile
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Self

from pydantic import Field

from spatialreward.errors import SpatialRewardError
from spatialreward.records import Record

if TYPE_CHECKING:
    from minio import Minio
    from urllib3 import PoolManager, Retry

_URI = re.compile(r"s3://(?P<bucket>[a-z0-9][a-z0-9.-]{1,61}[a-z0-9])/(?P<key>[^#]+)")
_TEXT = re.compile(r"(?P<uri>[^#]+)#sha256=(?P<sha256>[0-9a-f]{64})")
_CHUNK = 1 << 20
_ATTEMPTS = 5
_GONE = ("NoSuchKey", "NoSuchBucket", "NoSuchObject")


class StorageError(SpatialRewardError, RuntimeError):
    """An artifact cannot be put, found or trusted; the message names its address."""


class ArtifactRef(Record):
    """Where an artifact is and what it must be; ``s3://bucket/key#sha256=HEX`` as text."""

    uri: str = Field(pattern=rf"^{_URI.pattern}$")
    """Address of one object, ``s3://bucket/key``."""
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    """Checksum of the object's bytes."""
    size_bytes: int | None = Field(default=None, ge=0)
    """Length of the object; None where only the text form was handed over."""

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read the text form.

        Raises:
            StorageError: the text is not of that form.
        """
        found = _TEXT.fullmatch(text)
        if found is None or not _URI.fullmatch(found["uri"]):
            raise StorageError(f"expected s3://bucket/key#sha256=HEX, got {text!r}")
        return cls(uri=found["uri"], sha256=found["sha256"])

    def __str__(self) -> str:
        """The text form, which leaves out the size."""
        return f"{self.uri}#sha256={self.sha256}"


class ObjectStore:
    """An S3 store. Connection errors and 5xx answers are tried again before they are raised."""

    def __init__(
        self,
        endpoint_url: str,
        access_key: str,
        secret_key: str,
        *,
        session_token: str | None = None,
        region: str = "us-east-1",
    ) -> None:
        """Prepare a client; nothing is sent yet."""
        from minio import Minio

        scheme, separator, host = endpoint_url.rstrip("/").partition("://")
        if not separator or scheme not in ("http", "https") or not host:
            raise StorageError(f"S3 endpoint: expected http(s)://host:port, got {endpoint_url!r}")
        self.endpoint_url = endpoint_url
        self._http = _http_client()
        try:
            self._client: Minio = Minio(
                host,
                access_key=access_key,
                secret_key=secret_key,
                session_token=session_token,
                secure=scheme == "https",
                region=region,
                http_client=self._http,
            )
        except ValueError as error:
            raise StorageError(f"S3 endpoint {endpoint_url}: {error}") from error

    @classmethod
    def from_environment(cls) -> Self:
        """Connect as S3_ENDPOINT_URL, AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY say.

        Raises:
            StorageError: one of them is not set.
        """
        names = ("S3_ENDPOINT_URL", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")
        if missing := [name for name in names if not os.environ.get(name)]:
            raise StorageError(f"no object store: {', '.join(missing)} not set")
        return cls(
            *(os.environ[name] for name in names),
            session_token=os.environ.get("AWS_SESSION_TOKEN"),
            region=os.environ.get("AWS_DEFAULT_REGION") or "us-east-1",
        )

    def ensure_bucket(self, bucket: str) -> None:
        """Make a bucket unless it is there, also when another process makes it meanwhile."""
        from minio.error import S3Error

        with _explained(f"s3://{bucket}"):
            try:
                if not self._client.bucket_exists(bucket):
                    self._client.make_bucket(bucket)
            except S3Error as error:
                if error.code != "BucketAlreadyOwnedByYou" and not (
                    error.code == "BucketAlreadyExists" and self._client.bucket_exists(bucket)
                ):
                    raise

    def put_file(self, path: Path, uri: str) -> ArtifactRef:
        """Store a file at an address, in place of what was there."""
        bucket, key = _split(uri)
        try:
            with path.open("rb") as file:
                return self._put(file, bucket, key)
        except FileNotFoundError as error:
            raise StorageError(f"cannot put {path} to {uri}: there is no such file") from error

    def put_folder(self, folder: Path, uri_prefix: str) -> ArtifactRef:
        """Store a folder as ``<uri_prefix>/<checksum>.tar``; the same folder is stored once.

        Raises:
            StorageError: there is no such folder, or it holds something that is no file.
        """
        bucket, prefix = _split(f"{uri_prefix.rstrip('/')}/")
        if not folder.is_dir():
            raise StorageError(f"cannot put {folder} to {uri_prefix}: there is no such folder")
        with tempfile.TemporaryFile() as archive:
            write_tar(folder, archive)
            sha256, size = _digest(archive)
            uri = f"s3://{bucket}/{prefix}{sha256}.tar"
            if self._size(uri) == size:
                return ArtifactRef(uri=uri, sha256=sha256, size_bytes=size)
            return self._put(archive, bucket, f"{prefix}{sha256}.tar")

    def fetch_file(self, ref: ArtifactRef, destination: Path) -> Path:
        """Write an artifact to a file, whole and with the right checksum or not at all."""
        destination.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=destination.parent, prefix=".fetching-") as scratch:
            part = Path(scratch) / "part"
            self._download(ref, part)
            part.replace(destination)
        return destination

    def fetch_folder(self, ref: ArtifactRef, destination: Path) -> Path:
        """Unpack what ``put_folder`` stored; the folder appears whole or not at all.

        Args:
            ref: what to fetch.
            destination: a folder that does not exist yet, or is empty.

        Raises:
            StorageError: the artifact is missing or is not what ``ref`` says, or ``destination``
                holds something already.
        """
        destination = destination.absolute()
        destination.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=destination.parent, prefix=".fetching-") as scratch:
            archive, unpacked = Path(scratch) / "part.tar", Path(scratch) / "unpacked"
            self._download(ref, archive)
            unpacked.mkdir()
            try:
                with tarfile.open(archive, "r:") as tar:
                    tar.extractall(unpacked, filter="data")
            except tarfile.TarError as error:
                raise StorageError(f"{ref.uri}: is not a stored folder: {error}") from error
            try:
                unpacked.rename(destination)
            except OSError as error:
                raise StorageError(
                    f"cannot fetch {ref.uri} to {destination}: {error.strerror}"
                ) from error
        return destination

    def exists(self, artifact: ArtifactRef | str) -> bool:
        """Tell whether there is an object at an address, of the right size if that is known."""
        if isinstance(artifact, str):
            return self._size(artifact) is not None
        size = self._size(artifact.uri)
        return size is not None and artifact.size_bytes in (None, size)

    def put_json_if_absent(self, uri: str, value: object) -> bool:
        """Store a JSON value unless there is an object already; of many writers one succeeds.

        Returns:
            Whether this call has written.

        Raises:
            StorageError: the store did not answer, so nobody knows whether it was written.
        """
        from datetime import timedelta

        bucket, key = _split(uri)
        body = json.dumps(value, sort_keys=True).encode()
        with _explained(uri):
            # The client's own `put_object` has no way to set this header.
            url = self._client.get_presigned_url("PUT", bucket, key, timedelta(minutes=5))
            answer = self._http.request(
                "PUT",
                url,
                body=body,
                headers={"If-None-Match": "*", "Content-Type": "application/json"},
                # A second attempt could meet the first one's object and take it for another's.
                retries=_retry(read=0, status=0),
            )
        if answer.status == 412:
            return False
        if answer.status not in (200, 201, 204):
            raise StorageError(f"{uri}: expected the store to write it, got HTTP {answer.status}")
        return True

    def get_json(self, uri: str) -> Any | None:
        """Read a JSON value; None when there is no object.

        Raises:
            StorageError: the object is not JSON.
        """
        from minio.error import S3Error

        bucket, key = _split(uri)
        with _explained(uri):
            try:
                answer = self._client.get_object(bucket, key)
            except S3Error as error:
                if error.code in _GONE:
                    return None
                raise
            with answer:
                text = answer.read()
        try:
            return json.loads(text)
        except ValueError as error:
            raise StorageError(f"{uri}: expected JSON, got {text[:40]!r}") from error

    def _size(self, uri: str) -> int | None:
        from minio.error import S3Error

        bucket, key = _split(uri)
        with _explained(uri):
            try:
                return self._client.stat_object(bucket, key).size
            except S3Error as error:
                if error.code in _GONE:
                    return None
                raise

    def _put(self, file: BinaryIO, bucket: str, key: str) -> ArtifactRef:
        uri = f"s3://{bucket}/{key}"
        sha256, size = _digest(file)
        file.seek(0)
        with _explained(uri):
            self._client.put_object(bucket, key, file, size)
        return ArtifactRef(uri=uri, sha256=sha256, size_bytes=size)

    def _download(self, ref: ArtifactRef, path: Path) -> None:
        """Write an object's bytes; a connection that breaks half-way is tried again."""
        import tenacity
        import urllib3

        bucket, key = _split(ref.uri)
        attempts = tenacity.Retrying(
            stop=tenacity.stop_after_attempt(_ATTEMPTS),
            wait=tenacity.wait_exponential(0.1, max=5),
            retry=tenacity.retry_if_exception_type(urllib3.exceptions.HTTPError),
            reraise=True,
        )
        with _explained(ref.uri):
            got = attempts(self._read_once, bucket, key, path)
        if got != ref.sha256:
            raise StorageError(f"{ref.uri}: expected sha256 {ref.sha256}, got {got}")

    def _read_once(self, bucket: str, key: str, path: Path) -> str:
        """Write an object to a file and return its checksum."""
        digest = hashlib.sha256()
        answer = self._client.get_object(bucket, key)
        try:
            with path.open("wb") as file:
                for chunk in answer.stream(_CHUNK):
                    digest.update(chunk)
                    file.write(chunk)
        finally:
            answer.close()
            answer.release_conn()
        return digest.hexdigest()


def write_tar(folder: Path, archive: BinaryIO) -> None:
    """Write a folder as a tar file whose bytes depend on names and contents alone.

    Links are followed; owners, times and permissions other than "executable" are left out.

    Raises:
        StorageError: the folder holds something that is neither file nor folder.
    """
    with tarfile.open(fileobj=archive, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for path in sorted(folder.rglob("*"), key=lambda each: each.relative_to(folder).parts):
            entry = tarfile.TarInfo(path.relative_to(folder).as_posix())
            if path.is_dir():
                entry.type, entry.mode = tarfile.DIRTYPE, 0o755
                tar.addfile(entry)
            elif path.is_file():
                status = path.stat()
                entry.size = status.st_size
                entry.mode = 0o755 if status.st_mode & 0o100 else 0o644
                with path.open("rb") as file:
                    tar.addfile(entry, file)
            else:
                raise StorageError(f"cannot store {path}: it is neither a file nor a folder")


def _digest(file: BinaryIO) -> tuple[str, int]:
    """Checksum and length of a file, read from its start."""
    file.seek(0)
    return hashlib.file_digest(file, "sha256").hexdigest(), file.seek(0, io.SEEK_END)


def _split(uri: str) -> tuple[str, str]:
    """Bucket and key of an address."""
    found = _URI.fullmatch(uri)
    if found is None:
        raise StorageError(f"expected s3://bucket/key, got {uri!r}")
    return found["bucket"], found["key"]


@contextmanager
def _explained(uri: str) -> Iterator[None]:
    """Say what the store, or the way to it, found wrong with an address."""
    from minio.error import MinioException, S3Error
    from urllib3.exceptions import HTTPError

    try:
        yield
    except S3Error as error:
        raise StorageError(f"{uri}: {error.code}: {error.message or 'refused'}") from error
    except (MinioException, HTTPError, ValueError) as error:
        raise StorageError(f"{uri}: {error}") from error


def _retry(**changes: int) -> "Retry":
    from urllib3 import Retry

    return Retry(total=_ATTEMPTS, backoff_factor=0.2, status_forcelist=(500, 502, 503, 504)).new(
        **changes
    )


def _http_client() -> "PoolManager":
    from urllib3 import PoolManager, Timeout

    certificates = os.environ.get("SSL_CERT_FILE")
    return PoolManager(
        timeout=Timeout(connect=10, read=120),
        maxsize=10,
        retries=_retry(),
        **({"ca_certs": certificates} if certificates else {}),
    )
