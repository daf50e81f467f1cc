import hashlib
import json

import pytest

from spatialreward.artifacts import ArtifactRef
from spatialreward.errors import ArtifactError, InvalidInputError
from spatialreward.folder_manifest import FolderManifest, digest_folder
from spatialreward.storage import StorageError
from tests.transfer.made import LARGE, contents, put


def forge(store, uri, files):
    """A reference to a manifest that names these files."""
    content = json.dumps({"version": 1, "files": files}).encode()
    put(store, f"{uri}/artifact.json", content)
    return ArtifactRef(uri=uri, sha256=hashlib.sha256(content).hexdigest())


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


def test_a_folder_is_looked_at_without_fetching_it(store, folder, place, got):
    ref = store.put_folder(folder, place)
    got.clear()
    assert store.check_folder(ref) == FolderManifest.of(folder)
    assert got == ["artifact.json"]
    weights = f"{ref.uri}/weights.bin"
    for content, checksum in ((LARGE[:9], "noted"), (LARGE, "other"), (LARGE, "")):
        noted = {"sha256": checksum} if checksum else {}
        put(store, weights, content, **noted)
        with pytest.raises(ArtifactError, match=r"weights\.bin: is missing or was altered"):
            store.check_folder(ref)
    put(store, weights, LARGE, sha256=hashlib.sha256(LARGE).hexdigest())
    assert store.check_folder(ref).digest == ref.sha256
    store.remove(weights)
    with pytest.raises(ArtifactError, match="expected 6,526,000 bytes of sha256"):
        store.check_folder(ref)
    store.remove(ref.manifest_uri)
    with pytest.raises(ArtifactError, match=r"artifact\.json at http://.*NoSuchKey"):
        store.check_folder(ref)
