import hashlib
import io
import tarfile
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spatialreward.errors import InvalidInputError
from spatialreward.packed_folder import NotPackedError, Streamed, pack, unpack
from spatialreward.storage import digest_folder

NAMES = ("empty", "one block", "a/" + "long" * 40 + "/ü.bin", "b/deep/er/words.txt")
CONTENTS = (b"", b"x" * 512, b"y" * 513, "ä".encode() * 70_000)
RECORDED = "54129234f79bb95ee1cd993129b043c917aff3ca35a018e8942dafcf4d910759"


def made(folder, contents=CONTENTS):
    folder.mkdir()
    for name, content in zip(NAMES, contents, strict=True):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    (folder / "nothing in it").mkdir()
    return folder


def packed_by_tarfile(folder):
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for path in sorted(path for path in folder.rglob("*") if path.is_file()):
            entry = tarfile.TarInfo(path.relative_to(folder).as_posix())
            entry.size = path.stat().st_size
            entry.mode = 0o644
            archive.addfile(entry, io.BytesIO(path.read_bytes()))
    return packed.getvalue()


def test_the_stream_of_a_folder_is_the_tar_that_tarfile_writes(tmp_path):
    folder = made(tmp_path / "model")
    assert b"".join(pack(folder)) == packed_by_tarfile(folder)


def test_the_digest_of_a_folder_never_changes(tmp_path):
    assert digest_folder(made(tmp_path / "model")) == RECORDED


def test_a_digest_is_of_the_whole_stream_and_writes_nothing(tmp_path, monkeypatch):
    def refuse(*args, **more):
        raise AssertionError("a temporary file was made")

    monkeypatch.setattr(tempfile, "TemporaryFile", refuse)
    folder = made(tmp_path / "model")
    assert digest_folder(folder) == hashlib.sha256(packed_by_tarfile(folder)).hexdigest()


def test_a_folder_without_files_is_an_empty_tar(tmp_path):
    assert b"".join(pack(tmp_path)) == packed_by_tarfile(tmp_path) == bytes(10_240)


@pytest.mark.parametrize("size", [1, 511, 10_240, 10_000_000])
def test_a_stream_is_read_in_any_portions(tmp_path, size):
    folder = made(tmp_path / "model")
    streamed = Streamed(pack(folder))
    assert b"".join(iter(lambda: streamed.read(size), b"")) == packed_by_tarfile(folder)
    assert streamed.num_bytes == len(packed_by_tarfile(folder))
    assert streamed.sha256 == RECORDED


@settings(max_examples=20, deadline=None)
@given(st.lists(st.binary(max_size=3_000), min_size=len(NAMES), max_size=len(NAMES)))
def test_what_is_unpacked_is_what_was_packed(contents):
    with tempfile.TemporaryDirectory() as temporary:
        folder = made(Path(temporary) / "model", contents)
        unpack(Streamed(pack(folder)), back := Path(temporary) / "back")
        assert [(back / name).read_bytes() for name in NAMES] == contents


def test_a_stream_that_is_cut_off_is_no_folder(tmp_path):
    whole = b"".join(pack(made(tmp_path / "model")))
    with pytest.raises(NotPackedError, match="not a folder that was stored"):
        unpack(Streamed(iter([whole[:10_000]])), tmp_path / "back")


def test_a_file_that_becomes_shorter_is_named(tmp_path):
    folder = made(tmp_path / "model")
    chunks = pack(folder)
    while b"one block" not in next(chunks):
        pass
    (folder / "one block").write_bytes(b"")
    with pytest.raises(InvalidInputError, match="one block: became 512 bytes shorter"):
        list(chunks)
