import hashlib
import tempfile
import threading
from functools import partialmethod
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from minio import Minio

from spatialreward import transfer
from spatialreward.folder_manifest import digest_folder
from spatialreward.storage import ObjectStore, StorageError
from tests.transfer.made import LARGE, contents, put


def test_a_folder_comes_back_as_it_went(store, folder, place, tmp_path):
    ref = store.put_folder(folder, place)
    assert ref.uri == f"{place}/{ref.sha256[:16]}"
    assert ref.sha256 == digest_folder(folder)
    assert contents(store.fetch_folder(ref, tmp_path / "into" / "back")) == contents(folder)
    assert [path.name for path in (tmp_path / "into").iterdir()] == ["back"]


def test_a_file_of_an_artifact_is_an_object_under_its_path(store, folder, place):
    ref = store.put_folder(folder, place)
    assert store.get_content(f"{ref.uri}/deep/er/name with spaces, ü.txt") == b"words"


def test_a_folder_without_files_comes_back_empty(store, place, tmp_path):
    (tmp_path / "model" / "nothing in it").mkdir(parents=True)
    ref = store.put_folder(tmp_path / "model", place)
    assert list(store.fetch_folder(ref, tmp_path / "back").iterdir()) == []


NAMES = st.text(
    st.characters(exclude_categories=["Cc", "Cs"], exclude_characters="/"), min_size=1, max_size=20
).filter(lambda name: name not in (".", "..", "artifact.json"))
PATHS = st.lists(NAMES, min_size=1, max_size=3).map("/".join)
CONTENTS = st.binary(max_size=100) | st.just(b"") | st.just(LARGE)


@settings(max_examples=15)
@given(files=st.dictionaries(PATHS, CONTENTS, max_size=4))
def test_any_folder_comes_back_as_it_went(s3, files):
    store = ObjectStore(s3.endpoint_url, s3.access_key, s3.secret_key)
    store.ensure_bucket("steps")
    files = {path: content for path, content in files.items() if not below_another(path, files)}
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary) / "model"
        folder.mkdir()
        for name, content in files.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(content)
        ref = store.put_folder(folder, "s3://steps/any folder, ü")
        assert contents(store.fetch_folder(ref, Path(temporary) / "back")) == files


def below_another(path, files):
    parts = path.split("/")
    return any("/".join(parts[:length]) in files for length in range(1, len(parts)))


def test_the_same_files_give_the_same_reference_and_are_sent_once(
    store, folder, place, tmp_path, sent
):
    copy = tmp_path / "copy"
    for name, data in reversed(contents(folder).items()):
        (copy / name).parent.mkdir(parents=True, exist_ok=True)
        (copy / name).write_bytes(data)
    ref = store.put_folder(copy, place)
    assert sorted(sent) == ["artifact.json", "empty", "name with spaces, ü.txt", "weights.bin"]
    assert sent[-1] == "artifact.json"
    sent.clear()
    assert store.put_folder(folder, place) == ref
    assert sent == ["artifact.json"]


@pytest.mark.parametrize("harm", ["gone", "other size", "no checksum", "other checksum"])
def test_a_file_that_is_not_there_as_it_should_be_is_sent_again(
    store, folder, place, harm, sent, tmp_path
):
    ref = store.put_folder(folder, place)
    uri, content = f"{ref.uri}/weights.bin", contents(folder)["weights.bin"]
    sha256 = hashlib.sha256(content).hexdigest()
    match harm:
        case "gone":
            store.remove(uri)
        case "other size":
            put(store, uri, b"short", sha256=sha256)
        case "no checksum":
            put(store, uri, bytes(len(content)))
        case "other checksum":
            put(store, uri, bytes(len(content)), sha256="0" * 64)
    sent.clear()
    assert store.put_folder(folder, place) == ref
    assert sent == ["weights.bin", "artifact.json"]
    assert contents(store.fetch_folder(ref, tmp_path / "back")) == contents(folder)


def test_a_folder_at_a_place_takes_over_what_is_there(store, folder, place, sent, tmp_path):
    store.put_file(folder / "weights.bin", f"{place}/weights.bin")
    sent.clear()
    ref = store.put_folder_at(folder, place + "/")
    assert "weights.bin" not in sent
    assert str(ref) == f"{place}#sha256={digest_folder(folder)}"
    (folder / "weights.bin").write_bytes(b"other")
    later = store.put_folder_at(folder, place)
    assert contents(store.fetch_folder(later, tmp_path / "back")) == contents(folder)
    with pytest.raises(StorageError, match=f"artifact.json: expected sha256 {ref.sha256}"):
        store.fetch_folder(ref, tmp_path / "earlier")


def test_folders_travel_in_pieces(store, folder, place, tmp_path, monkeypatch):
    sizes = []

    class Watched(transfer.Moved):
        def add(self, num_bytes):
            sizes.append(num_bytes)
            super().add(num_bytes)

    def refuse(*args, **more):
        raise AssertionError("a temporary file was made")

    monkeypatch.setattr(transfer, "Moved", Watched)
    for name in ("TemporaryFile", "NamedTemporaryFile", "mkstemp", "mkdtemp"):
        monkeypatch.setattr(tempfile, name, refuse)
    ref = store.put_folder(folder, place)
    assert len(LARGE) > 5 << 20
    assert max(sizes) <= 5 << 20, "a part of S3's"
    sizes.clear()
    assert contents(store.fetch_folder(ref, tmp_path / "back")) == contents(folder)
    assert max(sizes) <= transfer.CHUNK
    assert sum(sizes) == sum(map(len, contents(folder).values()))


def test_long_moves_say_how_far_they_are(store, folder, place, monkeypatch, caplog, tmp_path):
    monkeypatch.setattr(transfer, "_SHOWN_FROM_BYTES", 1)
    with caplog.at_level("INFO"):
        ref = store.put_folder(folder, place)
        store.fetch_folder(ref, tmp_path / "back")
    assert f"MiB to {ref.uri}: 100% 6/6" in caplog.text
    assert f"MiB from {ref.uri}: 100% 6/6" in caplog.text


def test_files_are_moved_at_the_same_time(store, place, tmp_path, monkeypatch):
    folder = tmp_path / "model"
    folder.mkdir()
    for name in "abcd":
        (folder / name).write_text(name)
    together, moves = threading.Barrier(4, timeout=60), []

    def meet(self, original, bucket, key, *args, **more):
        if not key.endswith("artifact.json"):
            moves.append(together.wait())
        return original(self, bucket, key, *args, **more)

    for name in ("put_object", "get_object"):
        monkeypatch.setattr(Minio, name, partialmethod(meet, getattr(Minio, name)))
    store.fetch_folder(store.put_folder(folder, place), tmp_path / "back")
    assert sorted(moves) == [0, 0, 1, 1, 2, 2, 3, 3]
