import uuid

import pytest
from minio import Minio

from tests.transfer.made import LARGE


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "model"
    (folder / "deep" / "er").mkdir(parents=True)
    (folder / "weights.bin").write_bytes(LARGE)
    (folder / "empty").touch()
    (folder / "deep" / "er" / "name with spaces, ü.txt").write_text("words")
    return folder


@pytest.fixture
def place():
    """A prefix that no other test uses, since the store outlives a test."""
    return f"s3://steps/{uuid.uuid4().hex}"


@pytest.fixture
def sent(monkeypatch):
    """Keys of the objects that are written."""
    return recorded(monkeypatch, "put_object")


@pytest.fixture
def got(monkeypatch):
    """Keys of the objects that are read."""
    return recorded(monkeypatch, "get_object")


def recorded(monkeypatch, name):
    keys, original = [], getattr(Minio, name)

    def record(self, bucket, key, *args, **more):
        keys.append(key.rpartition("/")[2])
        return original(self, bucket, key, *args, **more)

    monkeypatch.setattr(Minio, name, record)
    return keys
