import pytest

from spatialreward.errors import InvalidInputError
from spatialreward.stack.ports import free_ports
from spatialreward.storage import ObjectStore, StorageError


def test_of_two_writers_only_the_first_writes(store):
    uri = "s3://steps/cache/key.json"
    assert store.get_json(uri) is None
    assert store.put_json_if_absent(uri, {"by": "first"})
    assert not store.put_json_if_absent(uri, {"by": "second"})
    assert store.get_json(uri) == {"by": "first"}


def test_wrong_credentials_are_reported_as_such(s3):
    stranger = ObjectStore(s3.endpoint_url, s3.access_key, "wrong")
    with pytest.raises(StorageError, match="SignatureDoesNotMatch"):
        stranger.exists("s3://steps/train/x")


def test_a_store_that_is_not_there_is_named():
    with free_ports() as ports:
        port = next(ports)
    absent = ObjectStore(f"http://127.0.0.1:{port}", "key", "secret")
    with pytest.raises(StorageError, match=f"s3://steps/x at http://127.0.0.1:{port}: "):
        absent.exists("s3://steps/x")


def test_variables_that_are_not_set_are_named(monkeypatch):
    monkeypatch.setenv("S3_ENDPOINT_URL", "http://127.0.0.1:1")
    monkeypatch.delenv("AWS_ACCESS_KEY_ID", raising=False)
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY", raising=False)
    with pytest.raises(InvalidInputError, match="AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY not set"):
        ObjectStore.from_environment()


@pytest.mark.parametrize("url", ["127.0.0.1:9000", "s3://bucket", "http://"])
def test_an_address_that_is_no_url_is_refused(url):
    with pytest.raises(InvalidInputError, match="expected http://HOST:PORT"):
        ObjectStore(url, "key", "secret")
