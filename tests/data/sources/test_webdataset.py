import json
import tarfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from spatialreward.data.edits import LabelledEdit, Rejected
from spatialreward.data.sources.columns import Columns
from spatialreward.data.sources.config import WebDatasetSource
from spatialreward.data.sources.opening import open_source
from spatialreward.errors import InvalidInputError
from tests.data.sources.small_data_sets import edits_of, everything, picture, reasons_of, write_tar

COLUMNS = Columns(
    sources=("source.jpg;source.png",),
    edited="edited.png",
    instruction="json.instruction",
    operation="json.task",
)


def files(count: int, name: str = "") -> list[tuple[str, bytes]]:
    return [
        entry
        for k in range(count)
        for entry in (
            (f"{name}{k:03}.source.jpg", picture(f"s{k}")),
            (f"{name}{k:03}.edited.png", picture(f"e{k}" * 400)),
            (f"{name}{k:03}.json", json.dumps({"instruction": f"do {k}", "task": "add"}).encode()),
        )
    ]


def source(folder: Path, columns: Columns = COLUMNS, **options):
    return open_source(WebDatasetSource(folder=str(folder), columns=columns, **options))


@pytest.mark.parametrize(
    ("name", "mode"), [("0.tar", "w"), ("0.tar.gz", "w:gz"), ("0.tar.xz", "w:xz")]
)
def test_consecutive_files_of_one_name_are_an_edit(tmp_path, name, mode):
    write_tar(tmp_path / name, files(3, "deep/"), mode)
    edits = edits_of(source(tmp_path, files="*.tar*"))
    assert [edit.id for edit in edits] == [f"{name}:deep/00{k}" for k in range(3)]
    assert edits[2].sources == (picture("s2"),)
    assert edits[2].edited == picture("e2" * 400)
    assert (edits[2].instruction, edits[2].operation) == ("do 2", "add")


def test_a_file_of_a_sample_may_begin_with_a_byte_order_mark(tmp_path):
    first, edited, words = files(1)
    write_tar(tmp_path / "0.tar", [first, edited, (words[0], b"\xef\xbb\xbf" + words[1])])
    [edit] = edits_of(source(tmp_path))
    assert (edit.instruction, edit.operation) == ("do 0", "add")
    as_text = ("000.txt", b"\xef\xbb\xbfdo it")
    write_tar(tmp_path / "0.tar", [first, edited, as_text])
    columns = COLUMNS.model_copy(update={"instruction": "txt", "operation": None})
    [edit] = edits_of(source(tmp_path, columns))
    assert edit.instruction == "do it"


def test_the_instruction_may_be_a_text_file_and_the_extension_vary(tmp_path):
    entries = [("a.source.PNG", picture("a")), ("a.txt", "größer machen\n".encode())]
    write_tar(tmp_path / "0.tar", entries)
    columns = Columns(sources=("source.jpg;source.png",), instruction="txt", id=("__key__",))
    [edit] = edits_of(source(tmp_path, columns))
    assert (edit.id, edit.sources, edit.edited) == ("a", (picture("a"),), None)
    assert edit.instruction == "größer machen\n"


@pytest.mark.parametrize(
    ("entries", "reason"),
    [
        ([("x.source.jpg", b"p"), ("x.json", b'{"instruction": "do"}')], "missing picture"),
        ([("x.source.jpg", b"p"), ("x.edited.png", b"p")], "missing field"),
        ([("x.source.jpg", b""), ("x.edited.png", b"p"), ("x.json", b"{}")], "missing picture"),
        ([("x.source.jpg", b"p"), ("x.edited.png", b"p"), ("x.json", b"{")], "unreadable row"),
        ([("x.source.jpg", b"p"), ("x.source.jpg", b"p")], "unreadable row"),
        ([("000.source.jpg", b"p")], "unreadable row"),
    ],
)
def test_a_sample_that_cannot_be_read_is_left_out_and_the_others_are_not(tmp_path, entries, reason):
    write_tar(tmp_path / "0.tar", files(2) + entries + files(1, "z"))
    rows = everything(source(tmp_path))
    assert [row.reason for row in rows if isinstance(row, Rejected)] == [reason]
    edits = [row.id for row in rows if isinstance(row, LabelledEdit)]
    assert edits == ["0.tar:000", "0.tar:001", "0.tar:z000"]


def test_text_that_is_not_utf8_is_left_out(tmp_path):
    write_tar(tmp_path / "0.tar", [("a.source.jpg", picture("a")), ("a.txt", b"\xff\xfe")])
    columns = Columns(sources=("source.jpg",), instruction="txt")
    assert reasons_of(source(tmp_path, columns)) == [("0.tar:a", "unreadable row")]


def test_nothing_but_regular_files_is_read(tmp_path):
    path = write_tar(tmp_path / "0.tar", [*files(1), ("__meta__", b"x")])
    with tarfile.open(path, "a") as tar:
        link = tarfile.TarInfo("001.source.jpg")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/hostname"
        tar.addfile(link)
    assert [edit.id for edit in edits_of(source(tmp_path))] == ["0.tar:000"]


def test_a_missing_column_is_named_with_those_that_there_are(tmp_path):
    write_tar(tmp_path / "0.tar", files(1))
    columns = COLUMNS.model_copy(update={"edited": "target.png"})
    with pytest.raises(InvalidInputError, match=r"no column target\.png; there are .*source\.jpg"):
        source(tmp_path, columns)


def test_a_cut_tar_gives_its_complete_samples_and_one_reject_wherever_it_is_cut(tmp_path):
    path = write_tar(tmp_path / "0.tar", files(4))
    whole = path.read_bytes()
    ends = sample_ends(path)
    for size in (*range(0, ends[-1] + 1024, 389), *ends, *(end - 1 for end in ends)):
        path.write_bytes(whole[:size])
        opened = source(tmp_path)
        rows = everything(opened)
        complete = sum(end <= size for end in ends)
        assert [row.id for row in rows if isinstance(row, LabelledEdit)] == [
            f"0.tar:{k:03}" for k in range(complete)
        ], size
        assert [row.reason for row in rows if isinstance(row, Rejected)] == ["broken file"], size
        assert everything(opened, 3) == rows, size


@pytest.mark.parametrize(("name", "mode"), [("0.tar.gz", "w:gz"), ("0.tar.bz2", "w:bz2")])
def test_a_cut_compressed_tar_is_one_reject_too(tmp_path, name, mode):
    path = write_tar(tmp_path / name, files(4), mode)
    path.write_bytes(path.read_bytes()[:-30])
    opened = source(tmp_path, files="*.tar*")
    assert [reason for _, reason in reasons_of(opened)] == ["broken file"]
    assert everything(opened, 5) == everything(opened)


def test_a_damaged_header_is_not_taken_for_the_end(tmp_path):
    path = write_tar(tmp_path / "0.tar", files(4))
    data = bytearray(path.read_bytes())
    # Headers stand at multiples of 512 bytes.
    data[(sample_ends(path)[1] + 511) // 512 * 512 + 10] ^= 0xFF
    path.write_bytes(data)
    rows = everything(source(tmp_path))
    assert [row.id for row in rows if isinstance(row, LabelledEdit)] == ["0.tar:000", "0.tar:001"]
    [reject] = [row for row in rows if isinstance(row, Rejected)]
    assert reject.detail.startswith("from sample 2 on: bad checksum")


@given(
    sizes=st.lists(st.integers(0, 6), min_size=1, max_size=4),
    cut=st.integers(0, 12_000),
    num_shards=st.integers(1, 15),
)
@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_parts_are_disjoint_and_together_everything(tmp_path, sizes, cut, num_shards):
    for old in tmp_path.glob("*.tar"):
        old.unlink()
    for number, size in enumerate(sizes):
        path = write_tar(tmp_path / f"{number}.tar", files(size))
    path.write_bytes(path.read_bytes()[:cut])
    opened = source(tmp_path)
    whole = everything(opened)
    assert everything(opened, num_shards) == whole
    assert len({row.id for row in whole}) == len(whole) >= sum(sizes[:-1])


def sample_ends(path: Path) -> list[int]:
    """Where the data of each sample's last file ends, in bytes."""
    with tarfile.open(path) as tar:
        return [one.offset_data + one.size for one in tar.getmembers()][2::3]
