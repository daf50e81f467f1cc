"""The object store: folders and documents by S3 URI and checksum, and small JSON objects.

Steps exchange folders as ``artifacts`` describes.
"""

import fcntl
import hashlib
import io
import json
import os
import shutil
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

from spatialreward.artifacts import ArtifactRef, DocumentRef
from spatialreward.errors import ArtifactError, InvalidInputError, StorageError
from spatialreward.folder_manifest import NUM_THREADS, FileEntry, FolderManifest
from spatialreward.transfer import CHUNK, MISSING, Prefix, split

BUCKET = "spatialreward"
"""Bucket for the steps. MLflow has its own, which any caller of its artifact proxy can write."""
_SIGNED_FOR = timedelta(minutes=5)


class ObjectStore:
    """An S3 store, through MinIO's client."""

    def __init__(self, endpoint_url: str, access_key: str, secret_key: str) -> None:
        """Configure a client for ``endpoint_url`` (``http://host:port``); connects on first use.

        Raises:
            InvalidInputError: the address is no http or https URL.
        """
        parts = urlsplit(endpoint_url)
        if parts.scheme not in ("http", "https") or not parts.netloc:
            raise InvalidInputError(f"S3 endpoint {endpoint_url!r}: expected http://HOST:PORT")
        self._endpoint_url = endpoint_url
        self._http = urllib3.PoolManager(
            # MinIO's client sends the parts of a large object from three threads of its own.
            maxsize=4 * NUM_THREADS,
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
        """Configure from ``S3_ENDPOINT_URL``, ``AWS_ACCESS_KEY_ID``, ``AWS_SECRET_ACCESS_KEY``.

        Raises:
            InvalidInputError: one of them is not set.
        """
        names = ("S3_ENDPOINT_URL", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")
        if missing := [name for name in names if not os.environ.get(name)]:
            raise InvalidInputError(f"object store: {', '.join(missing)} not set")
        return cls(*(os.environ[name] for name in names))

    @property
    def client(self) -> Minio:
        """MinIO's client, for operations that only one module needs."""
        return self._client

    def ensure_bucket(self, bucket: str) -> None:
        """Create a bucket if missing.

        Raises:
            StorageError: the store is unreachable or denies access.
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
        """Store a folder under ``uri_prefix``, in a prefix named after its content.

        Raises:
            InvalidInputError: there is no such folder, its content cannot be stored
                (``FolderManifest.of``), or a file changes during the upload.
            StorageError: the store refused the upload.
        """
        manifest = FolderManifest.of(folder)
        return self._put(folder, manifest, f"{uri_prefix.rstrip('/')}/{manifest.digest[:16]}")

    def put_folder_at(self, folder: Path, uri: str) -> ArtifactRef:
        """Store a folder as the artifact at ``uri``, replacing an existing one.

        References to the old artifact become invalid, unless both hold the same files.

        Raises:
            InvalidInputError, StorageError: as ``put_folder``.
        """
        return self._put(folder, FolderManifest.of(folder), uri.rstrip("/"))

    def read_manifest(self, ref: ArtifactRef) -> FolderManifest:
        """The manifest of an artifact.

        Raises:
            ArtifactError: there is none, or its checksum differs from the reference.
            StorageError: the store is unreachable.
        """
        buffer = io.BytesIO()
        self._download(ref.manifest_uri, buffer)
        content = buffer.getvalue()
        if (found := hashlib.sha256(content).hexdigest()) != ref.sha256:
            raise ArtifactError(f"{ref.manifest_uri}: expected sha256 {ref.sha256}, got {found}")
        return FolderManifest.parse(content, ref.manifest_uri)

    def fetch_folder(self, ref: ArtifactRef, destination: Path) -> Path:
        """Download a folder; it appears only when complete and verified.

        Until then its files are in ``.fetch-NAME-HEX`` beside its place. A killed or failed attempt
        leaves them there, and the next one resumes.

        Raises:
            InvalidInputError: ``destination`` exists.
            ArtifactError: the manifest or a file is missing, or differs from the reference.
            StorageError: the store is unreachable.
        """
        _require_absent(destination)
        manifest = self.read_manifest(ref)
        unfinished = destination.parent / f".fetch-{destination.name}-{ref.sha256[:16]}"
        with _held(unfinished):
            try:
                _require_absent(destination)
                files, partial = unfinished / "files", unfinished / "partial"
                for made in (files, partial):
                    made.mkdir(exist_ok=True)
                Prefix(self._client, ref.uri, self._failure).fetch_all(
                    files, partial, manifest.files
                )
                files.rename(destination)
            finally:
                _remove_unless_resumable(unfinished)
        return destination

    def ensure_folder(self, ref: ArtifactRef, destination: Path) -> Path:
        """As ``fetch_folder``, unless the folder exists from an earlier call.

        Of several processes that want it at once, one fetches it and the others wait.

        Raises:
            InvalidInputError: ``destination`` exists and is not a folder.
            ArtifactError, StorageError: as ``fetch_folder``.
        """
        if not destination.is_dir():
            try:
                self.fetch_folder(ref, destination)
            except InvalidInputError:
                # Another process may have fetched it in the meantime.
                if not destination.is_dir():
                    raise
        return destination

    def check_folder(self, ref: ArtifactRef) -> FolderManifest:
        """Check that an artifact exists: its manifest, and each file by size and checksum.

        Uses the checksum in the store's metadata; ``fetch_folder`` verifies the bytes.

        Raises:
            ArtifactError: the manifest or a file is missing, or differs from the reference.
            StorageError: the store is unreachable.
        """
        manifest = self.read_manifest(ref)
        Prefix(self._client, ref.uri, self._failure).require_all(manifest.files)
        return manifest

    def _put(self, folder: Path, manifest: FolderManifest, uri: str) -> ArtifactRef:
        ref = ArtifactRef(uri=uri, sha256=manifest.digest)
        Prefix(self._client, uri, self._failure).send_all(folder, manifest.files)
        # Last, so that a manifest means a complete artifact.
        self._put_bytes(manifest.content, ref.manifest_uri)
        return ref

    def put_content(self, content: bytes, uri_prefix: str, suffix: str) -> DocumentRef:
        """Store a document under ``uri_prefix``, in an object named after its checksum.

        Raises:
            StorageError: the store refused the upload.
        """
        sha256 = hashlib.sha256(content).hexdigest()
        ref = DocumentRef.of(f"{uri_prefix.rstrip('/')}/{sha256}{suffix}", content)
        self._put_bytes(content, ref.uri)
        return ref

    def get_content(self, uri: str) -> bytes | None:
        """Read a document; None if there is none.

        Raises:
            StorageError: the store is unreachable.
        """
        if not self.exists(uri):
            return None
        buffer = io.BytesIO()
        self._download(uri, buffer)
        return buffer.getvalue()

    def put_file(self, path: Path, uri: str) -> None:
        """Store one file as an object, replacing an existing one.

        Raises:
            InvalidInputError: there is no such file, or it changes during the upload.
            StorageError: the store refused the upload.
        """
        prefix, _, name = uri.rpartition("/")
        Prefix(self._client, prefix, self._failure).send(path, FileEntry.of(path, name))

    def get_file(self, uri: str, path: Path) -> None:
        """Download an object; the file appears only when complete.

        Raises:
            StorageError: the object is missing, or the store is unreachable.
        """
        unfinished = path.with_name(path.name + ".partial")
        with unfinished.open("wb") as file:
            self._download(uri, file)
        unfinished.rename(path)

    def exists(self, uri: str) -> bool:
        """Whether an object exists at ``uri``.

        Raises:
            StorageError: the store is unreachable or denies access.
        """
        try:
            self._client.stat_object(*split(uri))
        except S3Error as error:
            if error.code in MISSING:
                return False
            raise self._failure(uri, error) from error
        except (MinioException, urllib3.exceptions.HTTPError) as error:
            raise self._failure(uri, error) from error
        return True

    def put_json_if_absent(self, uri: str, value: Any) -> bool:
        """Write a JSON object unless one exists; returns whether it was written.

        Of several writers exactly one succeeds (``If-None-Match: *``).

        Raises:
            StorageError: the store refused for another reason.
        """
        data = json.dumps(value, sort_keys=True).encode()
        bucket, key = split(uri)
        # MinIO's client takes no conditions; a presigned URL takes any header.
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
        """Read a JSON object; None if there is none.

        Raises:
            StorageError: the store is unreachable, or the object is not JSON.
        """
        content = self.get_content(uri)
        if content is None:
            return None
        try:
            return json.loads(content)
        except ValueError as error:
            raise StorageError(f"{uri}: is not JSON") from error

    def remove(self, uri: str) -> None:
        """Remove an object; a missing one is no error.

        Raises:
            StorageError: the store is unreachable or denies access.
        """
        try:
            self._client.remove_object(*split(uri))
        except (MinioException, urllib3.exceptions.HTTPError) as error:
            raise self._failure(uri, error) from error

    def _put_bytes(self, content: bytes, uri: str) -> None:
        bucket, key = split(uri)
        try:
            self._client.put_object(bucket, key, io.BytesIO(content), len(content))
        except (MinioException, urllib3.exceptions.HTTPError) as error:
            raise self._failure(uri, error) from error

    def _download(self, uri: str, target: Any) -> None:
        with self._reading(uri) as chunks:
            for chunk in chunks:
                target.write(chunk)

    @contextmanager
    def _reading(self, uri: str) -> Iterator[Iterator[bytes]]:
        """The content of an object, chunk by chunk.

        Raises:
            StorageError: the object is missing, or its stream is cut off.
        """
        bucket, key = split(uri)
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
        where = f"{uri} at {self._endpoint_url}"
        if not isinstance(error, S3Error):
            return StorageError(f"{where}: {error}")
        kind = ArtifactError if error.code in MISSING else StorageError
        return kind(f"{where}: {error.code}: {error.message}")


def _require_absent(destination: Path) -> None:
    if destination.exists():
        raise InvalidInputError(f"{destination}: is there already, will not replace it")


@contextmanager
def _held(folder: Path) -> Iterator[None]:
    """Create a folder and hold its lock; a second process waits.

    Raises:
        InvalidInputError: the folder cannot be created.
        StorageError: a link in it would redirect files elsewhere.
    """
    lock = _lock(folder)
    try:
        links = (path for path in (folder, *folder.rglob("*")) if path.is_symlink())
        if link := next(links, None):
            raise StorageError(f"{link}: is a link, expected what a fetch has left; remove it")
        yield
    finally:
        os.close(lock)


def _lock(folder: Path) -> int:
    while True:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            lock = os.open(folder / "lock", os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o644)
        except FileNotFoundError:
            continue
        except OSError as error:
            raise InvalidInputError(f"{folder}: {error.strerror}") from error
        fcntl.flock(lock, fcntl.LOCK_EX)
        if os.fstat(lock).st_nlink:
            return lock
        # The previous holder has finished and removed the folder.
        os.close(lock)


def _remove_unless_resumable(unfinished: Path) -> None:
    """Remove a fetch's folder, unless the next attempt can resume from its bytes."""
    folders = ("files", "partial")
    left = [path for name in folders for path in (unfinished / name).rglob("*")]
    if not any(path.is_file() and path.stat().st_size for path in left):
        shutil.rmtree(unfinished, ignore_errors=True)
