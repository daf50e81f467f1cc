import hashlib
import io
import tarfile
import tempfile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spatialreward import storage
from spatialreward.artifacts import ArtifactRef
from spatialreward.errors import InvalidInputError
from spatialreward.stack.ports import free_ports
from spatialreward.storage import ObjectStore, StorageError, digest_folder


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "model"
    (folder / "deep" / "er").mkdir(parents=True)
    (folder / "weights.bin").write_bytes(bytes(range(256)) * 5000)
    (folder / "deep" / "er" / "name with spaces, ü.txt").write_text("words")
    return folder


def contents(folder):
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def test_a_folder_comes_back_as_it_went(store, folder, tmp_path):
    ref = store.put_folder(folder, "s3://steps/train")
    assert contents(store.fetch_folder(ref, tmp_path / "back")) == contents(folder)


def test_the_same_files_give_the_same_reference(store, folder, tmp_path):
    copy = tmp_path / "copy"
    for name, data in reversed(contents(folder).items()):
        (copy / name).parent.mkdir(parents=True, exist_ok=True)
        (copy / name).write_bytes(data)
    assert store.put_folder(copy, "s3://steps/train") == store.put_folder(
        folder, "s3://steps/train"
    )


def test_a_wrong_checksum_is_named_and_leaves_nothing(store, folder, tmp_path):
    ref = store.put_folder(folder, "s3://steps/train")
    wrong = ref.model_copy(update={"sha256": "0" * 64})
    with pytest.raises(StorageError, match=f"{ref.uri}: expected sha256 0+, got {ref.sha256}"):
        store.fetch_folder(wrong, tmp_path / "into" / "back")
    assert list((tmp_path / "into").iterdir()) == []


def test_folders_travel_without_a_temporary_file(store, folder, tmp_path, monkeypatch):
    def refuse(*args, **more):
        raise AssertionError("a temporary file was made")

    monkeypatch.setattr(tempfile, "TemporaryFile", refuse)
    (folder / "large.bin").write_bytes(bytes(range(251)) * 50_000)  # more than a part of S3's
    ref = store.put_folder(folder, "s3://steps/train")
    assert ref.sha256 == digest_folder(folder)
    assert ref.size_bytes == store.client.stat_object("steps", ref.uri.split("/", 3)[3]).size
    assert contents(store.fetch_folder(ref, tmp_path / "back")) == contents(folder)


def test_a_folder_that_changes_while_it_is_stored_is_refused(store, folder, monkeypatch):
    digested = digest_folder(folder)
    pack = storage.pack

    def changing(folder):
        yield from pack(folder)
        (folder / "weights.bin").write_bytes(bytes(1_280_000))

    monkeypatch.setattr(storage, "pack", changing)
    with pytest.raises(InvalidInputError, match="was changed while it was stored"):
        store.put_folder(folder, "s3://steps/changing")
    assert not store.exists(f"s3://steps/changing/{digested[:16]}.tar")


def test_bytes_that_changed_are_told_by_their_checksum(store, folder, tmp_path):
    ref = store.put_folder(folder, "s3://steps/train")
    for content in (b"no tar", b"".join(storage.pack(folder))[:4_000]):
        store.client.put_object("steps", "damaged.tar", io.BytesIO(content), len(content))
        damaged = ref.model_copy(update={"uri": "s3://steps/damaged.tar"})
        with pytest.raises(StorageError, match=r"damaged\.tar: expected sha256"):
            store.fetch_folder(damaged, tmp_path / "into" / "back")
    assert list((tmp_path / "into").iterdir()) == []


@pytest.mark.parametrize(
    "entry", [{"name": "../out"}, {"name": "/tmp/out"}, {"name": "link", "type": tarfile.SYMTYPE}]
)
def test_what_would_be_written_elsewhere_is_refused(store, tmp_path, entry):
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        info = tarfile.TarInfo()
        for name, value in entry.items():
            setattr(info, name, value)
        archive.addfile(info)
    data = packed.getvalue()
    store.client.put_object("steps", "evil.tar", io.BytesIO(data), len(data))
    sha256 = hashlib.sha256(data).hexdigest()
    ref = ArtifactRef(uri="s3://steps/evil.tar", sha256=sha256, size_bytes=len(data))
    with pytest.raises(StorageError, match=r"evil\.tar: .*expected a file inside a folder"):
        store.fetch_folder(ref, tmp_path / "into" / "back")
    assert list((tmp_path / "into").iterdir()) == []


def test_a_missing_object_is_named(store, tmp_path):
    ref = ArtifactRef(uri="s3://steps/nothing.tar", sha256="0" * 64, size_bytes=1)
    with pytest.raises(StorageError, match=r"s3://steps/nothing\.tar at http://.*NoSuchKey"):
        store.fetch_folder(ref, tmp_path / "back")
    assert not (tmp_path / "back").exists()


def test_what_is_there_is_not_replaced(store, folder):
    ref = store.put_folder(folder, "s3://steps/train")
    with pytest.raises(InvalidInputError, match="is there already"):
        store.fetch_folder(ref, folder)


def test_an_empty_folder_is_refused(store, tmp_path):
    with pytest.raises(InvalidInputError, match="expected a folder with files"):
        store.put_folder(tmp_path, "s3://steps/train")


def test_of_two_writers_only_the_first_writes(store):
    uri = "s3://steps/cache/key.json"
    assert store.get_json(uri) is None
    assert store.put_json_if_absent(uri, {"by": "first"})
    assert not store.put_json_if_absent(uri, {"by": "second"})
    assert store.get_json(uri) == {"by": "first"}


def test_wrong_credentials_are_told_as_such(s3):
    stranger = ObjectStore(s3.endpoint_url, s3.access_key, "wrong")
    with pytest.raises(StorageError, match="SignatureDoesNotMatch"):
        stranger.exists("s3://steps/train/x")


def test_a_store_that_is_not_there_is_named():
    with free_ports() as ports:
        port = next(ports)
    nobody = ObjectStore(f"http://127.0.0.1:{port}", "key", "secret")
    with pytest.raises(StorageError, match=f"s3://steps/x at http://127.0.0.1:{port}: "):
        nobody.exists("s3://steps/x")


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


@given(
    st.from_regex(r"[a-z0-9][a-z0-9.-]{2,62}/[a-zA-Z0-9/_.-]{1,60}", fullmatch=True),
    st.binary(min_size=32, max_size=32),
    st.integers(min_value=0, max_value=2**50),
)
def test_a_reference_survives_its_text(place, digest, size):
    ref = ArtifactRef(uri=f"s3://{place}", sha256=digest.hex(), size_bytes=size)
    assert ArtifactRef.parse(str(ref)) == ref


@given(st.text(max_size=80))
def test_any_other_text_is_no_reference(text):
    with pytest.raises(InvalidInputError, match="an artifact reference"):
        ArtifactRef.parse(text)
