import io
from datetime import UTC, datetime

import pytest

from spatialreward.errors import InvalidInputError
from spatialreward.ops.backups import fetch_backup, list_backups, put_backup
from spatialreward.storage import StorageError

MONDAY = datetime(2026, 11, 23, 2, 17, tzinfo=UTC)
TUESDAY = datetime(2026, 11, 24, 2, 17, tzinfo=UTC)


@pytest.fixture
def folder(request):
    return f"s3://steps/backups/{request.node.name}"


def _dump(path, text: str):
    path.write_text(text)
    return path


def test_the_newest_comes_back_unless_another_is_named(store, folder, tmp_path):
    put_backup(store, _dump(tmp_path / "a.dump", "tuesday"), folder, TUESDAY)
    put_backup(store, _dump(tmp_path / "b.dump", "monday"), folder, MONDAY)
    assert [one.name for one in list_backups(store, folder)] == [
        "20261123T021700Z.dump",
        "20261124T021700Z.dump",
    ]
    fetch_backup(store, folder, None, tmp_path / "newest")
    assert (tmp_path / "newest").read_text() == "tuesday"
    fetch_backup(store, folder, "20261123T021700Z.dump", tmp_path / "older")
    assert (tmp_path / "older").read_text() == "monday"


def test_one_without_a_card_is_no_backup(store, folder, tmp_path):
    store.put_file(_dump(tmp_path / "a.dump", "half"), f"{folder}/20261125T000000Z.dump")
    assert list_backups(store, folder) == []
    with pytest.raises(InvalidInputError, match="there is no backup"):
        fetch_backup(store, folder, None, tmp_path / "out")


def test_a_changed_object_does_not_come_back(store, folder, tmp_path):
    backup = put_backup(store, _dump(tmp_path / "a.dump", "whole"), folder, MONDAY)
    bucket, _, prefix = folder.removeprefix("s3://").partition("/")
    store.client.put_object(bucket, f"{prefix}/{backup.name}", io.BytesIO(b"other"), 5)
    with pytest.raises(StorageError, match=f"{backup.name}: expected sha256"):
        fetch_backup(store, folder, None, tmp_path / "out")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.dump"]


def test_nothing_is_replaced(store, folder, tmp_path):
    dump = _dump(tmp_path / "a.dump", "text")
    put_backup(store, dump, folder, MONDAY)
    with pytest.raises(StorageError, match="is there already"):
        put_backup(store, dump, folder, MONDAY)
    with pytest.raises(InvalidInputError, match="is there already"):
        fetch_backup(store, folder, None, dump)


def test_an_empty_file_and_a_strange_address_are_refused(store, tmp_path):
    with pytest.raises(InvalidInputError, match="not empty"):
        put_backup(store, _dump(tmp_path / "a.dump", ""), "s3://steps/x", MONDAY)
    with pytest.raises(InvalidInputError, match="s3://BUCKET/PREFIX"):
        list_backups(store, "steps/x")
