"""Folders to a real S3 server and back."""

import hashlib
import io
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import uuid
from functools import partialmethod
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from minio import Minio

from spatialreward import transfer
from spatialreward.artifacts import ArtifactRef
from spatialreward.errors import InvalidInputError
from spatialreward.folder_manifest import FolderManifest, digest_folder
from spatialreward.storage import ObjectStore, StorageError

LARGE = bytes(range(251)) * 26_000  # more than a part of S3's


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


def contents(folder):
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def put(store, uri, content, **metadata):
    bucket, key = transfer.split(uri)
    store.client.put_object(bucket, key, io.BytesIO(content), len(content), metadata=metadata)


def forge(store, uri, files):
    """A reference to a manifest that names these files."""
    content = json.dumps({"version": 1, "files": files}).encode()
    put(store, f"{uri}/artifact.json", content)
    return ArtifactRef(uri=uri, sha256=hashlib.sha256(content).hexdigest())


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


@settings(max_examples=15, deadline=None)
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
    assert f"MiB to {ref.uri}: 6/6 (100 %)" in caplog.text
    assert f"MiB from {ref.uri}: 6/6 (100 %)" in caplog.text


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


@pytest.mark.parametrize("content", [bytes(len(LARGE)), b"short", b"", None])
def test_a_file_that_changes_while_it_is_stored_is_refused(
    store, folder, place, monkeypatch, content
):
    uri = f"{place}/{digest_folder(folder)[:16]}"
    of, path = FolderManifest.of, folder / "weights.bin"

    def changing(folder):
        manifest = of(folder)
        path.unlink() if content is None else path.write_bytes(content)
        return manifest

    monkeypatch.setattr(FolderManifest, "of", changing)
    with pytest.raises(InvalidInputError, match=r"weights\.bin: (was changed while|No such file)"):
        store.put_folder(folder, place)
    assert not store.exists(f"{uri}/artifact.json")
    assert not store.exists(f"{uri}/weights.bin")


def test_a_wrong_digest_of_the_manifest_is_named_and_leaves_nothing(store, folder, place, tmp_path):
    ref = store.put_folder(folder, place)
    wrong = ref.model_copy(update={"sha256": "0" * 64})
    said = f"{ref.uri}/artifact.json: expected sha256 0+, got {ref.sha256}"
    with pytest.raises(StorageError, match=said):
        store.fetch_folder(wrong, tmp_path / "into" / "back")
    assert not (tmp_path / "into").exists()


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (bytes(len(LARGE)), f"expected sha256 {hashlib.sha256(LARGE).hexdigest()}, got"),
        (LARGE[:100], "expected 6,526,000 bytes, got 100"),
        (LARGE + b"x", "expected 6,526,000 bytes, got 6,526,001"),
        (None, "at http://.*NoSuchKey"),
    ],
)
def test_a_file_that_is_not_the_manifests_is_named_and_fetched_when_it_is_right(
    store, folder, place, tmp_path, content, said
):
    ref = store.put_folder(folder, place)
    uri = f"{ref.uri}/weights.bin"
    store.remove(uri) if content is None else put(store, uri, content)
    with pytest.raises(StorageError, match=f"{uri}:? .*{said}|{uri}: {said}"):
        store.fetch_folder(ref, tmp_path / "into" / "back")
    assert not (tmp_path / "into" / "back").exists()
    assert store.put_folder(folder, place) == ref
    assert contents(store.fetch_folder(ref, tmp_path / "into" / "back")) == contents(folder)
    assert [path.name for path in (tmp_path / "into").iterdir()] == ["back"]


@pytest.mark.parametrize("path", ["../out", "/tmp/out", "a/../../out", "./out", "a//b", ""])
def test_what_would_be_written_elsewhere_is_refused(store, place, tmp_path, path):
    ref = forge(store, place, [{"path": path, "size": 0, "sha256": hashlib.sha256().hexdigest()}])
    with pytest.raises(StorageError, match=f"{place}.*/artifact.json: .*path '{path}'"):
        store.fetch_folder(ref, tmp_path / "into" / "back")
    assert not (tmp_path / "into").exists()


def test_nothing_is_written_through_a_link(store, folder, place, tmp_path):
    ref = store.put_folder(folder, place)
    files = tmp_path / f".fetch-back-{ref.sha256[:16]}" / "files"
    files.mkdir(parents=True)
    (tmp_path / "elsewhere").mkdir()
    (files / "deep").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(StorageError, match="files/deep: is a link"):
        store.fetch_folder(ref, tmp_path / "back")
    assert list((tmp_path / "elsewhere").iterdir()) == []


def test_a_fetch_goes_on_where_it_broke_off(store, folder, place, tmp_path, got, monkeypatch):
    ref = store.put_folder(folder, place)
    interrupted = transfer.Prefix._from

    def breaking(self, file, offset):
        for number, chunk in enumerate(interrupted(self, file, offset)):
            if number == 3:
                raise KeyboardInterrupt
            yield chunk

    with monkeypatch.context() as patch:
        patch.setattr(transfer.Prefix, "_from", breaking)
        with pytest.raises(KeyboardInterrupt):
            store.fetch_folder(ref, tmp_path / "back")
    assert not (tmp_path / "back").exists()
    got.clear()
    offsets = []

    def watching(self, file, offset):
        offsets.append(offset)
        return interrupted(self, file, offset)

    monkeypatch.setattr(transfer.Prefix, "_from", watching)
    assert contents(store.fetch_folder(ref, tmp_path / "back")) == contents(folder)
    assert got == ["artifact.json", "weights.bin"]
    assert offsets == [3 << 20]


def test_a_damaged_remainder_is_fetched_again_from_its_beginning(store, folder, place, tmp_path):
    ref = store.put_folder(folder, place)
    number = [file.path for file in store.read_manifest(ref).files].index("weights.bin")
    partial = tmp_path / f".fetch-back-{ref.sha256[:16]}" / "partial"
    partial.mkdir(parents=True)
    for damaged in (bytes(1_000), bytes(len(LARGE)), bytes(len(LARGE) + 1)):
        (partial / str(number)).write_bytes(damaged)
        back = store.fetch_folder(ref, tmp_path / "back")
        assert contents(back) == contents(folder)
        back.rename(tmp_path / str(len(damaged)))
        partial.mkdir(parents=True)


KILLED = """
import os, signal, sys
from pathlib import Path
from spatialreward import transfer
from spatialreward.artifacts import ArtifactRef
from spatialreward.storage import ObjectStore

left = int(sys.argv[1])
class Deadly(transfer.Moved):
    def add(self, num_bytes):
        super().add(num_bytes)
        if self.num_bytes >= left:
            os.kill(os.getpid(), signal.SIGKILL)
transfer.Moved = Deadly
store = ObjectStore.from_environment()
match sys.argv[2:]:
    case ["put", folder, prefix]:
        store.put_folder(Path(folder), prefix)
    case ["fetch", reference, destination]:
        store.fetch_folder(ArtifactRef.parse(reference), Path(destination))
"""


@pytest.fixture
def killed(s3):
    """Runs a move that is killed after so many bytes."""
    variables = {
        "S3_ENDPOINT_URL": s3.endpoint_url,
        "AWS_ACCESS_KEY_ID": s3.access_key,
        "AWS_SECRET_ACCESS_KEY": s3.secret_key,
    }

    def run(*arguments):
        command = [sys.executable, "-c", KILLED, *map(str, arguments)]
        assert subprocess.run(command, env=os.environ | variables, check=False).returncode == (
            -signal.SIGKILL
        )

    return run


@pytest.mark.parametrize("after", [1, 2 << 20, 6 << 20])
def test_moves_that_are_killed_leave_nothing_under_their_names_and_are_continued(
    store, folder, place, tmp_path, killed, after
):
    uri = f"{place}/{digest_folder(folder)[:16]}"
    killed(after, "put", folder, place)
    assert not store.exists(f"{uri}/artifact.json")
    ref = store.put_folder(folder, place)
    assert ref.uri == uri
    killed(after, "fetch", ref, tmp_path / "into" / "back")
    assert not (tmp_path / "into" / "back").exists()
    assert contents(store.fetch_folder(ref, tmp_path / "into" / "back")) == contents(folder)
    assert [path.name for path in (tmp_path / "into").iterdir()] == ["back"]


def test_of_two_fetches_to_one_place_one_brings_it(store, folder, place, tmp_path, got):
    ref = store.put_folder(folder, place)
    said = []

    def fetch():
        try:
            said.append(store.fetch_folder(ref, tmp_path / "back"))
        except InvalidInputError as error:
            said.append(str(error))

    threads = [threading.Thread(target=fetch) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(map(str, said)) == [
        str(tmp_path / "back"),
        f"{tmp_path / 'back'}: is there already, will not replace it",
    ]
    assert got.count("weights.bin") == 1
    assert contents(tmp_path / "back") == contents(folder)


def test_a_missing_artifact_is_named(store, tmp_path):
    ref = ArtifactRef(uri="s3://steps/nothing", sha256="0" * 64)
    with pytest.raises(
        StorageError, match=r"s3://steps/nothing/artifact\.json at http://.*NoSuchKey"
    ):
        store.fetch_folder(ref, tmp_path / "back")
    assert not (tmp_path / "back").exists()


def test_what_is_there_is_not_replaced(store, folder, place):
    ref = store.put_folder(folder, place)
    with pytest.raises(InvalidInputError, match="is there already"):
        store.fetch_folder(ref, folder)


def test_a_folder_that_is_not_there_is_not_stored(store, place, tmp_path):
    with pytest.raises(InvalidInputError, match="nothing: No such file or directory"):
        store.put_folder(tmp_path / "nothing", place)


def test_a_place_on_disk_that_cannot_be_written_is_named(store, folder, place, tmp_path):
    ref = store.put_folder(folder, place)
    (tmp_path / "file").touch()
    with pytest.raises(InvalidInputError, match=r"file/\.fetch-back-.*: Not a directory"):
        store.fetch_folder(ref, tmp_path / "file" / "back")
