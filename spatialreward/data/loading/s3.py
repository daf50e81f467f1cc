"""Shards in an S3 store, read in parts; a store that fails for a moment is asked again.

Through MinIO's client, as everything else in the object store: one way to sign, one set of
credentials, and errors that name the object. Arrow's own S3 file system brings a second client with
settings of its own, and must not be used in processes that were forked after it.
"""

import functools
import io
import logging
import random
import threading
import time
from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import TypeVar
from urllib.parse import urlsplit
from xml.etree import ElementTree

import urllib3
from minio.error import InvalidResponseError, MinioException, S3Error, ServerError

from spatialreward.data.loading.folders import Buffer, check_size
from spatialreward.data.packing.manifest import FILE_NAME, PackedShard
from spatialreward.errors import InvalidInputError
from spatialreward.storage import ObjectStore, StorageError

logger = logging.getLogger(__name__)
Result = TypeVar("Result")

_CHUNK = 1 << 20
_LONGEST_DELAY_S = 10.0
# The last one: MinIO's client parses an answer that broke off as if it were whole.
_FAILURES = (MinioException, urllib3.exceptions.HTTPError, ElementTree.ParseError)
_TRANSIENT = frozenset({408, 429, 500, 502, 503, 504})


class RangeStore(ObjectStore):
    """An S3 store that gives parts of objects, with a patience of its own."""

    def __init__(
        self, endpoint_url: str, access_key: str, secret_key: str, *, patience_s: float = 120.0
    ) -> None:
        """Connect when first used; a read fails ``patience_s`` after the last byte that came.

        Raises:
            InvalidInputError: the address is no http or https URL.
        """
        super().__init__(endpoint_url, access_key, secret_key)
        # Asked again here, where a body that breaks off goes on from where it broke.
        self._http.connection_pool_kw["retries"] = urllib3.Retry(0, status_forcelist=())
        self._http.connection_pool_kw["timeout"] = urllib3.Timeout(connect=5, read=20)
        self._patience_s = patience_s
        self._closed = threading.Event()

    def sizes(self, uri: str) -> Mapping[str, int]:
        """Bytes of each object right under a prefix, by the last part of its key.

        Raises:
            StorageError: the store does not answer or does not let us look.
        """
        bucket, prefix = split_prefix(uri)

        def listed() -> Mapping[str, int]:
            objects = self._client.list_objects(bucket, prefix)
            return {
                one.object_name.removeprefix(prefix): one.size
                for one in objects
                if one.object_name is not None and one.size is not None
            }

        return self._patiently(uri, listed)

    def read(self, uri: str) -> bytes:
        """A small object as a whole.

        Raises:
            StorageError: the store does not give it.
        """

        def whole() -> bytes:
            buffer = io.BytesIO()
            bucket, key = _split(uri)
            response = self._client.get_object(bucket, key)
            try:
                _require_length(response)
                for chunk in response.stream(_CHUNK):
                    buffer.write(chunk)
            finally:
                response.close()
                response.release_conn()
            return buffer.getvalue()

        return self._patiently(uri, whole)

    def fetch(self, uri: str, shard: PackedShard, start: int, length: int) -> Buffer:
        """A part of a shard, as ``ShardReader``.

        Raises:
            InvalidInputError: the object does not have the size that the manifest says.
            StorageError: the store does not give it, for longer than we have patience.
        """
        data = bytearray(length)
        got = 0
        while got < length:
            got += self._patiently(uri, functools.partial(self._part, uri, shard, start, data, got))
        return data

    def close(self) -> None:
        """Stop waiting and reading, from any thread."""
        self._closed.set()

    def _part(self, uri: str, shard: PackedShard, start: int, data: bytearray, got: int) -> int:
        """Read on behind ``got`` bytes; returns how many came, and raises if none did."""
        bucket, key = _split(uri)
        response = self._client.get_object(bucket, key, start + got, len(data) - got)
        came = 0
        try:
            _require_length(response)
            total = _total(response, uri, whole=len(data) == shard.size_bytes)
            for chunk in response.stream(_CHUNK):
                if self._closed.is_set():
                    raise StorageError(f"{uri}: reading was given up")
                if not came:
                    check_size(uri, total, shard)
                data[got + came : got + came + len(chunk)] = chunk
                came += len(chunk)
        except urllib3.exceptions.HTTPError:
            if not came:
                raise
        finally:
            response.close()
            response.release_conn()
        if not came:
            raise urllib3.exceptions.ProtocolError("the answer was empty")
        return came

    def _patiently(self, uri: str, ask: Callable[[], Result]) -> Result:
        give_up_at = time.monotonic() + self._patience_s
        delay = 0.1
        while True:
            try:
                return ask()
            except _FAILURES as error:
                if not _is_transient(error) or time.monotonic() + delay > give_up_at:
                    raise self._failure(uri, error) from error
                logger.warning("%s: %s; asking again", uri, error)
            # Spread out, or all workers of all ranks come back at the same moment.
            if self._closed.wait(delay * random.uniform(0.5, 1.0)):
                raise StorageError(f"{uri}: reading was given up")
            delay = min(2 * delay, _LONGEST_DELAY_S)


class S3Folder:
    """A packed data set under an S3 prefix."""

    def __init__(
        self, uri: str, connect: Callable[[], RangeStore] = RangeStore.from_environment
    ) -> None:
        """Take a prefix, as ``s3://bucket/edits``, and what connects to its store.

        Workers are given ``connect`` and call it themselves, so it must be possible to pickle it.

        Raises:
            InvalidInputError: the prefix is no S3 URI.
        """
        split_prefix(uri)
        self.uri = uri.rstrip("/")
        self._connect = connect

    def __str__(self) -> str:
        """The prefix."""
        return self.uri

    def read_manifest(self) -> bytes:
        """As ``ShardFolder``.

        Raises:
            StorageError: the store does not answer.
        """
        try:
            return self._connect().read(f"{self.uri}/{FILE_NAME}")
        except StorageError as error:
            if isinstance(error.__cause__, S3Error) and error.__cause__.code == "NoSuchKey":
                raise InvalidInputError(
                    f"{self.uri}: no packed data set here, expected {FILE_NAME}"
                ) from error
            raise

    def sizes(self) -> Mapping[str, int]:
        """As ``ShardFolder``.

        Raises:
            StorageError: the store does not answer.
        """
        return self._connect().sizes(self.uri)

    def connect(self) -> "S3Reader":
        """As ``ShardFolder``."""
        return S3Reader(self.uri, self._connect())


class S3Reader:
    """Reads parts of objects."""

    def __init__(self, uri: str, store: RangeStore) -> None:
        """Of the shards under the prefix ``uri``."""
        self._uri = uri
        self._store = store

    def fetch(self, shard: PackedShard, start: int, length: int) -> Buffer:
        """As ``ShardReader``.

        Raises:
            StorageError: the store does not give it.
        """
        return self._store.fetch(f"{self._uri}/{shard.name}", shard, start, length)

    def close(self) -> None:
        """As ``ShardReader``."""
        self._store.close()


def split_prefix(uri: str) -> tuple[str, str]:
    """Bucket and prefix, which ends with a slash.

    Raises:
        InvalidInputError: the text is no S3 URI.
    """
    bucket, key = _split(uri.rstrip("/"))
    return bucket, key + "/"


def _split(uri: str) -> tuple[str, str]:
    parts = urlsplit(uri)
    if parts.scheme != "s3" or not parts.netloc or len(parts.path) < 2:
        raise InvalidInputError(f"{uri!r}: expected s3://BUCKET/PREFIX")
    return parts.netloc, parts.path[1:]


def _require_length(response: urllib3.BaseHTTPResponse) -> None:
    """Tell an answer that broke off in its headers, which urllib3 takes for an empty one."""
    if "Content-Length" not in response.headers:
        raise urllib3.exceptions.ProtocolError("the answer broke off in its headers")


def _total(response: urllib3.BaseHTTPResponse, uri: str, *, whole: bool) -> int:
    """Size of the whole object that a part was cut from."""
    if response.status == HTTPStatus.PARTIAL_CONTENT:
        total = response.headers.get("Content-Range", "").rpartition("/")[2]
    elif whole:
        total = response.headers["Content-Length"]
    else:
        raise StorageError(f"{uri}: asked for a part, and the store did not answer with one")
    if not total.isdigit():
        raise urllib3.exceptions.ProtocolError("the answer does not say which part it is")
    return int(total)


def _is_transient(error: Exception) -> bool:
    match error:
        case S3Error():
            return error.response.status in _TRANSIENT
        case ServerError():
            return error.status_code in _TRANSIENT
        case _:
            # An answer that is not S3's comes from something that stands before the store.
            return not isinstance(error, MinioException) or isinstance(error, InvalidResponseError)
