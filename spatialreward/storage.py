"""The object store: whole folders by S3 URI and checksum, and small JSON objects.

Steps hand each other folders. A folder travels as one uncompressed tar whose bytes depend on its
files alone, so that its checksum tells whether two folders hold the same.
"""

import hashlib
import io
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from http import HTTPStatus
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlsplit

import urllib3
from minio import Minio
from minio.error import MinioException, S3Error

from spatialreward.artifacts import ArtifactRef
from spatialreward.errors import InvalidInputError, SpatialRewardError
from spatialreward.packed_folder import CHUNK, NotPackedError, Streamed, pack, unpack

BUCKET = "spatialreward"
"""What steps store. MLflow has a bucket of its own, which its artifact proxy writes for anyone."""
_MISSING = {"NoSuchKey", "NoSuchBucket", "NoSuchObject"}
_SIGNED_FOR = timedelta(minutes=5)


class StorageError(SpatialRewardError, RuntimeError):
    """The object store did not take or give an object; the message names its URI."""


class ObjectStore:
    """An S3 store, through MinIO's client."""

    def __init__(self, endpoint_url: str, access_key: str, secret_key: str) -> None:
        """Connect to ``endpoint_url`` (``http://host:port``) when first used.

        Raises:
            InvalidInputError: the address is no http or https URL.
        """
        parts = urlsplit(endpoint_url)
        if parts.scheme not in ("http", "https") or not parts.netloc:
            raise InvalidInputError(f"S3 endpoint {endpoint_url!r}: expected http://HOST:PORT")
        self._endpoint_url = endpoint_url
        self._http = urllib3.PoolManager(
            # MinIO's client sends the parts of a large object from several threads.
            maxsize=10,
            timeout=urllib3.Timeout(connect=5, read=300),
            retries=urllib3.Retry(
                total=4, backoff_factor=0.3, status_forcelist=[500, 502, 503, 504]
            ),
        )
        self._client = Minio(
            parts.netloc,
            access_key=access_key,
            secret_key=secret_key,
            secure=parts.scheme == "https",
            http_client=self._http,
        )

    @classmethod
    def from_environment(cls) -> Self:
        """Connect as ``S3_ENDPOINT_URL``, ``AWS_ACCESS_KEY_ID``, ``AWS_SECRET_ACCESS_KEY`` say.

        Raises:
            InvalidInputError: one of them is not set.
        """
        names = ("S3_ENDPOINT_URL", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")
        if missing := [name for name in names if not os.environ.get(name)]:
            raise InvalidInputError(f"object store: {', '.join(missing)} not set")
        return cls(*(os.environ[name] for name in names))

    @property
    def client(self) -> Minio:
        """MinIO's client, for what only one module asks for."""
        return self._client

    def ensure_bucket(self, bucket: str) -> None:
        """Make a bucket unless it is there.

        Raises:
            StorageError: the store does not answer or does not let us.
        """
        try:
            if not self._client.bucket_exists(bucket):
                self._client.make_bucket(bucket)
        except S3Error as error:
            if error.code not in ("BucketAlreadyOwnedByYou", "BucketAlreadyExists"):
                raise self._failure(f"s3://{bucket}", error) from error
        except (MinioException, urllib3.exceptions.HTTPError) as error:
            raise self._failure(f"s3://{bucket}", error) from error

    def put_folder(self, folder: Path, uri_prefix: str) -> ArtifactRef:
        """Store a folder under ``uri_prefix``, in an object named after its content.

        Raises:
            InvalidInputError: there is no such folder, it is empty, or a file changes meanwhile.
            StorageError: the store did not take it.
        """
        if not folder.is_dir() or not any(folder.iterdir()):
            raise InvalidInputError(f"{folder}: expected a folder with files in it")
        packed = Streamed(pack(folder))
        packed.drain()
        uri = f"{uri_prefix.rstrip('/')}/{packed.sha256[:16]}.tar"
        ref = ArtifactRef(uri=uri, sha256=packed.sha256, size_bytes=packed.num_bytes)
        bucket, key = _split(uri)
        again = Streamed(_unchanged(folder, ref))
        try:
            self._client.put_object(bucket, key, again, ref.size_bytes, "application/x-tar")
        except (MinioException, urllib3.exceptions.HTTPError) as error:
            raise self._failure(uri, error) from error
        return ref

    def fetch_folder(self, ref: ArtifactRef, destination: Path) -> Path:
        """Bring a folder here; it appears only when it is complete and its checksum is right.

        Raises:
            InvalidInputError: ``destination`` exists.
            StorageError: the object is missing, or is not what the reference says.
        """
        if destination.exists():
            raise InvalidInputError(f"{destination}: is there already, will not replace it")
        destination.parent.mkdir(parents=True, exist_ok=True)
        unfinished = Path(tempfile.mkdtemp(prefix=".fetch-", dir=destination.parent))
        try:
            with self._reading(ref.uri) as chunks:
                _unpack_verified(Streamed(chunks), unfinished, ref)
            unfinished.chmod(0o755)
            unfinished.rename(destination)
        finally:
            shutil.rmtree(unfinished, ignore_errors=True)
        return destination

    def put_content(self, content: bytes, uri_prefix: str, suffix: str) -> ArtifactRef:
        """Store a document under ``uri_prefix``, in an object named after its checksum.

        Raises:
            StorageError: the store did not take it.
        """
        sha256 = hashlib.sha256(content).hexdigest()
        ref = ArtifactRef.of(f"{uri_prefix.rstrip('/')}/{sha256}{suffix}", content)
        bucket, key = _split(ref.uri)
        try:
            self._client.put_object(bucket, key, io.BytesIO(content), len(content))
        except (MinioException, urllib3.exceptions.HTTPError) as error:
            raise self._failure(ref.uri, error) from error
        return ref

    def get_content(self, uri: str) -> bytes | None:
        """Read a document; None where there is none.

        Raises:
            StorageError: the store does not answer.
        """
        if not self.exists(uri):
            return None
        buffer = io.BytesIO()
        self._download(uri, buffer)
        return buffer.getvalue()

    def put_file(self, path: Path, uri: str) -> None:
        """Store one file as an object, in place of one that is there.

        Raises:
            StorageError: the store did not take it.
        """
        bucket, key = _split(uri)
        try:
            self._client.fput_object(bucket, key, str(path))
        except (MinioException, urllib3.exceptions.HTTPError) as error:
            raise self._failure(uri, error) from error

    def get_file(self, uri: str, path: Path) -> None:
        """Bring an object here; the file appears only when it is complete.

        Raises:
            StorageError: the object is missing, or the store does not answer.
        """
        unfinished = path.with_name(path.name + ".partial")
        with unfinished.open("wb") as file:
            self._download(uri, file)
        unfinished.rename(path)

    def exists(self, uri: str) -> bool:
        """Tell whether there is an object at ``uri``.

        Raises:
            StorageError: the store does not answer or does not let us look.
        """
        try:
            self._client.stat_object(*_split(uri))
        except S3Error as error:
            if error.code in _MISSING:
                return False
            raise self._failure(uri, error) from error
        except (MinioException, urllib3.exceptions.HTTPError) as error:
            raise self._failure(uri, error) from error
        return True

    def put_json_if_absent(self, uri: str, value: Any) -> bool:
        """Write a JSON object unless there is one; tells whether it was written.

        Of several writers exactly one succeeds (``If-None-Match: *``).

        Raises:
            StorageError: the store did not take it for another reason.
        """
        data = json.dumps(value, sort_keys=True).encode()
        bucket, key = _split(uri)
        # MinIO's client takes no conditions; a signed address takes any header.
        try:
            url = self._client.get_presigned_url("PUT", bucket, key, expires=_SIGNED_FOR)
            response = self._http.request("PUT", url, body=data, headers={"If-None-Match": "*"})
        except (MinioException, urllib3.exceptions.HTTPError) as error:
            raise self._failure(uri, error) from error
        if response.status == HTTPStatus.PRECONDITION_FAILED:
            return False
        if response.status != HTTPStatus.OK:
            raise StorageError(f"{uri} at {self._endpoint_url}: status {response.status}")
        return True

    def get_json(self, uri: str) -> Any:
        """Read a JSON object; None where there is none.

        Raises:
            StorageError: the store does not answer, or the object is not JSON.
        """
        content = self.get_content(uri)
        if content is None:
            return None
        try:
            return json.loads(content)
        except ValueError as error:
            raise StorageError(f"{uri}: is not JSON") from error

    def remove(self, uri: str) -> None:
        """Remove an object; one that is not there is no error.

        Raises:
            StorageError: the store does not answer or does not let us.
        """
        try:
            self._client.remove_object(*_split(uri))
        except (MinioException, urllib3.exceptions.HTTPError) as error:
            raise self._failure(uri, error) from error

    def _download(self, uri: str, target: Any) -> None:
        with self._reading(uri) as chunks:
            for chunk in chunks:
                target.write(chunk)

    @contextmanager
    def _reading(self, uri: str) -> Iterator[Iterator[bytes]]:
        """The content of an object, piece by piece.

        Raises:
            StorageError: there is none, or it does not come to its end.
        """
        bucket, key = _split(uri)
        try:
            response = self._client.get_object(bucket, key)
            try:
                yield response.stream(CHUNK)
            finally:
                response.close()
                response.release_conn()
        except (MinioException, urllib3.exceptions.HTTPError) as error:
            raise self._failure(uri, error) from error

    def _failure(self, uri: str, error: Exception) -> StorageError:
        reason = f"{error.code}: {error.message}" if isinstance(error, S3Error) else str(error)
        return StorageError(f"{uri} at {self._endpoint_url}: {reason}")


def digest_folder(folder: Path) -> str:
    """SHA-256 of a folder, the one that its reference would carry; nothing is written.

    Raises:
        InvalidInputError: a file changes while it is read.
    """
    packed = Streamed(pack(folder))
    packed.drain()
    return packed.sha256


def digest_file(path: Path) -> str:
    """SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _split(uri: str) -> tuple[str, str]:
    parts = urlsplit(uri)
    if parts.scheme != "s3" or not parts.netloc or len(parts.path) < 2:
        raise InvalidInputError(f"{uri!r}: expected s3://BUCKET/KEY")
    return parts.netloc, parts.path[1:]


def _unchanged(folder: Path, ref: ArtifactRef) -> Iterator[bytes]:
    """A folder packed again; its last piece comes only if all are those of its reference.

    Raises:
        InvalidInputError: they are not.
    """
    digest = hashlib.sha256()
    last = b""
    for chunk in pack(folder):
        yield last
        digest.update(chunk)
        last = chunk
    if digest.hexdigest() != ref.sha256:
        raise InvalidInputError(f"{folder}: was changed while it was stored")
    yield last


def _unpack_verified(packed: Streamed, folder: Path, ref: ArtifactRef) -> None:
    """Unpack a stream; a wrong checksum is told rather than what comes of it.

    Raises:
        StorageError: it is not what the reference says, or no folder.
    """
    try:
        unpack(packed, folder)
        reason = ""
    except NotPackedError as error:
        reason = str(error)
    packed.drain()
    if packed.sha256 != ref.sha256:
        raise StorageError(f"{ref.uri}: expected sha256 {ref.sha256}, got {packed.sha256}")
    if reason:
        raise StorageError(f"{ref.uri}: {reason}")
