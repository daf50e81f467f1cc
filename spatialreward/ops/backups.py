"""Backups of a file, such as a database's dump, in the object store, and back.

A backup is complete when its card is there, which is written last and says what the file hashes to.
Old ones are removed by the bucket itself: ``buckets``.
"""

import tempfile
from datetime import UTC, datetime
from pathlib import Path

import urllib3
from minio.error import MinioException
from pydantic import Field, ValidationError

from spatialreward.errors import InvalidInputError
from spatialreward.folder_manifest import digest_file
from spatialreward.records import Record
from spatialreward.storage import ObjectStore, StorageError

_CARD = ".json"


class Backup(Record):
    """The card of one backup."""

    name: str
    """When it was made, ``20261125T021700Z``, and with what extension."""
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    size_bytes: int = Field(ge=1)


def put_backup(store: ObjectStore, file: Path, folder_uri: str, at: datetime) -> Backup:
    """Store a file, read it back, and write its card.

    Args:
        store: where.
        file: what.
        folder_uri: ``s3://BUCKET/PREFIX`` of all backups of this kind.
        at: when it was made, with a time zone.

    Raises:
        InvalidInputError: there is no such file, or it is empty.
        StorageError: the store did not take it, or gives something else back.
    """
    if not file.is_file() or not (size := file.stat().st_size):
        raise InvalidInputError(f"{file}: expected a file that is not empty")
    sha256 = digest_file(file)
    name = f"{at.astimezone(UTC):%Y%m%dT%H%M%SZ}{file.suffix}"
    uri = f"{folder_uri.rstrip('/')}/{name}"
    backup = Backup(name=name, sha256=sha256, size_bytes=size)
    if store.exists(uri):
        raise StorageError(f"{uri}: is there already")
    store.put_file(file, uri)
    with tempfile.TemporaryDirectory() as folder:
        store.get_file(uri, copy := Path(folder) / name)
        if (found := digest_file(copy)) != sha256:
            raise StorageError(f"{uri}: expected sha256 {sha256}, got {found}")
    if not store.put_json_if_absent(uri + _CARD, backup.model_dump(mode="json")):
        raise StorageError(f"{uri}{_CARD}: is there already")
    return backup


def list_backups(store: ObjectStore, folder_uri: str) -> list[Backup]:
    """All complete backups, the newest last.

    Raises:
        StorageError: the store does not answer, or a card is no card.
    """
    folder = folder_uri.rstrip("/")
    bucket, _, prefix = folder.removeprefix("s3://").partition("/")
    if not folder.startswith("s3://") or not prefix:
        raise InvalidInputError(f"{folder_uri!r}: expected s3://BUCKET/PREFIX")
    try:
        keys = [one.object_name for one in store.client.list_objects(bucket, prefix + "/")]
    except (MinioException, urllib3.exceptions.HTTPError) as error:
        raise StorageError(f"{folder}: {error}") from error
    cards = sorted(str(key) for key in keys if str(key).endswith(_CARD))
    return [_read_card(store, f"s3://{bucket}/{key}") for key in cards]


def fetch_backup(store: ObjectStore, folder_uri: str, name: str | None, out: Path) -> Backup:
    """Bring a backup here; the file appears only when it is what its card says.

    Args:
        store: where it is.
        folder_uri: ``s3://BUCKET/PREFIX``.
        name: which one; None: the newest.
        out: the file to write.

    Raises:
        InvalidInputError: there is no such backup, or ``out`` exists.
        StorageError: the store does not answer, or what it gives is not what was put there.
    """
    if out.exists():
        raise InvalidInputError(f"{out}: is there already")
    backups = list_backups(store, folder_uri)
    chosen = [one for one in backups if name is None or one.name == name]
    if not chosen:
        raise InvalidInputError(f"{folder_uri}: there is no backup{f' {name}' if name else ''}")
    backup = chosen[-1]
    uri = f"{folder_uri.rstrip('/')}/{backup.name}"
    unchecked = out.with_name(out.name + ".unchecked")
    store.get_file(uri, unchecked)
    if (found := digest_file(unchecked)) != backup.sha256:
        unchecked.unlink()
        raise StorageError(f"{uri}: expected sha256 {backup.sha256}, got {found}")
    unchecked.rename(out)
    return backup


def _read_card(store: ObjectStore, uri: str) -> Backup:
    try:
        return Backup.model_validate(store.get_json(uri))
    except ValidationError as error:
        raise StorageError(f"{uri}: is no card of a backup") from error
