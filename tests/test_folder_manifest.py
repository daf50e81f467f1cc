import hashlib
import json
import os
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spatialreward.errors import InvalidInputError, StorageError
from spatialreward.folder_manifest import FileEntry, FolderManifest, digest_folder

FILES = {
    "empty": b"",
    "b/deep/er/words.txt": b"words",
    "a b/ü.bin": "ä".encode() * 70_000,
    "a!": b"sorts between the folders' names",
}
RECORDED = "c8412c923a757d0613395be837f79f1db39f9c83b6162ada4daabfcca0ec668d"
HEX = "0" * 64


def made(folder, files=FILES):
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return folder


def manifest(*paths, **change):
    files = [{"path": path, "size": 1, "sha256": HEX} for path in paths]
    return json.dumps({"version": 1, "files": files} | change).encode()


def test_a_manifest_says_path_size_and_checksum_of_each_file_in_order(tmp_path):
    found = FolderManifest.of(made(tmp_path))
    assert [file.path for file in found.files] == sorted(FILES)
    for file in found.files:
        content = FILES[file.path]
        assert (file.size, file.sha256) == (len(content), hashlib.sha256(content).hexdigest())
    assert found.size_bytes == sum(map(len, FILES.values()))


def test_the_digest_of_a_folder_never_changes(tmp_path):
    assert digest_folder(made(tmp_path)) == RECORDED


def test_what_is_no_file_and_no_content_does_not_count(tmp_path):
    first = made(tmp_path / "first")
    second = made(tmp_path / "second", dict(reversed(FILES.items())))
    (second / "nothing in it").mkdir()
    (second / "empty").chmod(0o755)
    os.utime(second / "empty", (0, 0))
    assert digest_folder(first) == digest_folder(second)


@pytest.mark.parametrize("change", [{"empty": b"x"}, {"other": b""}, {"a!": b"Sorts"}])
def test_any_change_of_a_file_changes_the_digest(tmp_path, change):
    changed = made(tmp_path / "changed", FILES | change)
    assert digest_folder(changed) != digest_folder(made(tmp_path / "folder"))


def test_a_file_that_is_moved_changes_the_digest(tmp_path):
    before = digest_folder(made(tmp_path))
    (tmp_path / "a!").rename(tmp_path / "b/a!")
    assert digest_folder(tmp_path) != before


def test_a_link_to_a_file_counts_as_the_file(tmp_path):
    before = digest_folder(made(tmp_path / "model"))
    (tmp_path / "blob").write_bytes(FILES["a!"])
    (tmp_path / "model/a!").unlink()
    (tmp_path / "model/a!").symlink_to(tmp_path / "blob")
    assert digest_folder(tmp_path / "model") == before


def link_to_folder(folder):
    (folder / "wrong").symlink_to(folder / "b")


def link_to_nothing(folder):
    (folder / "wrong").symlink_to(folder / "nowhere")


def pipe(folder):
    os.mkfifo(folder / "wrong")


def line_break(folder):
    (folder / "wrong\n").touch()


def no_utf8(folder):
    (folder / os.fsdecode(b"wrong\xff")).touch()


def reserved(folder):
    (folder / "artifact.json").touch()


@pytest.mark.parametrize(
    ("put", "reason"),
    [
        (link_to_folder, "wrong: is a link to a folder"),
        (link_to_nothing, "wrong: is neither a file nor a folder"),
        (pipe, "wrong: is neither a file nor a folder"),
        (line_break, r"path 'wrong\\n': expected UTF-8 without control characters"),
        (no_utf8, r"path 'wrong\\udcff': expected UTF-8"),
        (reserved, r"path 'artifact\.json': this name is the manifest's"),
    ],
)
def test_what_no_artifact_can_have_is_named(tmp_path, put, reason):
    put(made(tmp_path))
    with pytest.raises(InvalidInputError, match=f"{tmp_path}.*{reason}"):
        FolderManifest.of(tmp_path)


def test_a_folder_that_is_not_there_is_named(tmp_path):
    with pytest.raises(InvalidInputError, match="nothing: No such file or directory"):
        digest_folder(tmp_path / "nothing")


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"no JSON", "is not JSON"),
        (b"[]", "should be a table"),
        (manifest(version=2), "has version 2, .* a later one is needed"),
        (manifest("/etc/passwd"), "path '/etc/passwd': expected one below the folder"),
        (manifest("a/../../b"), r"path 'a/\.\./\.\./b': expected one below the folder"),
        (manifest("./a"), r"path '\./a'"),
        (manifest("a//b"), "path 'a//b'"),
        (manifest(""), "path ''"),
        (manifest("a\0b"), r"path 'a\\x00b': .* without control characters"),
        (manifest("artifact.json/a"), "this name is the manifest's"),
        (manifest("a", "a"), "path 'a': expected each path once, in order"),
        (manifest("b", "a"), "path 'a': expected each path once, in order"),
        (manifest("a", "a!", "a/b"), "path 'a/b': 'a' is a file"),
        (manifest(files=[{"path": "a", "size": -1, "sha256": HEX}]), r"files\.0\.size"),
        (manifest(files=[{"path": "a", "size": 1, "sha256": "x"}]), r"files\.0\.sha256"),
        (manifest(files=[{"path": "a", "size": 1}]), r"files\.0\.sha256"),
        (manifest(links=[]), "links: no such key"),
    ],
)
def test_a_manifest_that_is_none_is_refused_with_its_name(data, reason):
    with pytest.raises(StorageError, match=f"s3://steps/x: .*{reason}"):
        FolderManifest.parse(data, "s3://steps/x")


@given(st.binary(max_size=200) | st.text(max_size=200).map(str.encode))
def test_other_bytes_are_no_manifest(data):
    with pytest.raises(StorageError, match="s3://steps/x: "):
        FolderManifest.parse(data, "s3://steps/x")


PATHS = st.lists(
    st.text(st.characters(exclude_categories=["Cc", "Cs"], exclude_characters="/"), min_size=1)
    .map(lambda name: name[:40])
    .filter(lambda name: name not in (".", "..")),
    min_size=1,
    max_size=3,
).map(lambda parts: "f/" + "/".join(parts))


@settings(max_examples=40)
@given(st.dictionaries(PATHS, st.binary(max_size=50), max_size=4))
def test_a_manifest_survives_its_content(files):
    with tempfile.TemporaryDirectory() as temporary:
        try:
            folder = made(Path(temporary), files)
        except OSError:
            return  # One path is another's folder, or a name is too long for the disk.
        found = FolderManifest.of(folder)
        assert FolderManifest.parse(found.content, "it") == found
        assert {file.path: file.size for file in found.files} == {
            path: len(content) for path, content in files.items()
        }
        assert found.digest == hashlib.sha256(found.content).hexdigest()


def test_a_record_is_checked_however_it_is_made():
    with pytest.raises(ValueError, match="expected one below the folder"):
        FileEntry(path="../a", size=0, sha256=HEX)
