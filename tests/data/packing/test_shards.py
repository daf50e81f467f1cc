import hashlib
import itertools
import os
import random
import subprocess
import sys
import tempfile
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spatialreward.data.edits import RowOrigin
from spatialreward.data.packing.schema import FACTS, SCHEMA
from spatialreward.data.packing.shards import (
    ShardWriter,
    count_edits,
    describe_shard,
    read_edit,
    read_edits,
    read_facts,
    read_footer,
    write_shard,
)
from spatialreward.errors import InvalidInputError
from tests.data.packing.making import edits, make_alone, make_edit, make_prompt, picture

ROOT = Path(__file__).parents[3]


@pytest.fixture
def path(tmp_path):
    return tmp_path / "train-00003.parquet"


@settings(max_examples=60)
@given(st.lists(edits(), min_size=1, max_size=6), st.integers(1, 4))
def test_what_was_written_is_read(written, rows_a_group):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "shard.parquet"
        write_shard(path, written, rows_a_group=rows_a_group)
        assert list(read_edits(path)) == written
        without = list(read_edits(path, pictures=False))
    assert without == [
        edit.model_copy(
            update={
                "sources": (b"",) * len(edit.sources),
                "edited": None if edit.edited is None else b"",
            }
        )
        for edit in written
    ]


def test_a_shard_is_described_as_it_is(path):
    shard = write_shard(path, map(make_edit, range(10)), rows_a_group=4)
    data = path.read_bytes()
    assert shard.name == "train-00003.parquet"
    assert shard.sha256 == hashlib.sha256(data).hexdigest()
    assert shard.size_bytes == len(data)
    assert shard.row_groups == (4, 4, 2)
    assert shard.first == RowOrigin(file="train.jsonl", row="0")
    assert shard.last == RowOrigin(file="train.jsonl", row="9")
    assert describe_shard(path) == shard


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"prior": None}, "edit edit-7: prior: is missing, though there are two pictures"),
        ({"fingerprints": ()}, "edit edit-7: fingerprints: expected 2, one a picture, got 0"),
        ({"fingerprints": ("0" * 16,) * 3}, "edit edit-7: fingerprints: expected 2, .* got 3"),
    ],
)
def test_an_edit_whose_pictures_were_not_looked_at_is_neither_packed_nor_read(
    path, changes, problem
):
    with pytest.raises(InvalidInputError, match=f"^{problem}"):
        write_shard(path, [make_edit(7, **changes)])
    assert not path.exists()
    write_shard(path, [make_edit(7)])
    row = pq.read_table(path).to_pylist()[0] | changes
    pq.write_table(pa.Table.from_pylist([row], schema=SCHEMA), path)
    with pytest.raises(InvalidInputError, match=rf"train-00003\.parquet: {problem}"):
        list(read_edits(path))


def test_the_same_edits_give_the_same_bytes(tmp_path):
    one, two = (
        write_shard(tmp_path / name, map(make_edit, range(10)), rows_a_group=4)
        for name in ("one.parquet", "two.parquet")
    )
    assert one.sha256 == two.sha256


@settings(max_examples=25)
@given(
    st.lists(st.integers(1, 40), min_size=1, max_size=25), st.integers(1, 7), st.integers(500, 9000)
)
def test_row_groups_are_as_large_as_both_limits_allow(widths, rows_a_group, bytes_a_group):
    written = [
        make_prompt(number, sources=(picture(number, (width, 9)),))
        for number, width in enumerate(widths)
    ]
    sizes = [len(edit.sources[0]) for edit in written]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "shard.parquet"
        shard = write_shard(path, written, rows_a_group=rows_a_group, bytes_a_group=bytes_a_group)
        found = pq.ParquetFile(path).metadata
        rows = tuple(found.row_group(group).num_rows for group in range(found.num_row_groups))
    assert rows == shard.row_groups
    first = 0
    for count in rows:
        size = sum(sizes[first : first + count])
        assert count == 1 or (count <= rows_a_group and size <= bytes_a_group)
        if first + count < len(sizes):
            assert count == rows_a_group or size + sizes[first + count] > bytes_a_group
        first += count
    assert first == len(written)


def test_row_groups_are_on_disk_before_the_shard_is_complete(path):
    sizes = [0]
    with ShardWriter(path, rows_a_group=2) as writer:
        for number in range(8):
            writer.write(make_edit(number))
            sizes.append(path.with_name(path.name + ".partial").stat().st_size)
        assert not path.exists()
    group_bytes = 4 * len(picture(0))
    grown = [later - earlier > group_bytes for earlier, later in itertools.pairwise(sizes)]
    assert grown == [False, True] * 4
    assert os.listdir(path.parent) == [path.name]


def test_flat_columns_say_what_the_records_say(path):
    write_shard(path, [make_edit(1), make_prompt(2), make_edit(3, label=None)])
    facts = read_facts(path)
    assert facts.column_names == list(FACTS)
    rows = facts.to_pylist()
    assert [row["extent"] for row in rows] == ["local", None, "local"]
    assert [row["changed_share"] for row in rows] == [0.08, None, 0.08]
    assert [row["annotated"] for row in rows] == [True, False, False]
    assert [row["editing_success"] for row in rows] == [25.0, None, None]
    assert [row["artifact_freedom"] for row in rows] == [5.0, None, None]
    assert [(row["width"], row["height"]) for row in rows] == [(48, 32)] * 3
    assert rows[1]["picture_bytes"] == len(picture(4))
    assert rows[0]["fingerprints"] == ["0000000000000001", "f" * 16]


def test_edits_are_counted_by_what_they_are(path):
    write_shard(
        path,
        [
            make_edit(1),
            make_prompt(2, operation="", license=""),
            make_edit(3, label=None, lost_label="answer cannot be read: score.1: too large"),
            make_alone(4),
        ],
    )
    assert count_edits(path) == {
        "edits": 4,
        "annotated": 2,
        "labelled_by/teacher-72b": 1,
        "labelled_by/judges": 1,
        "lost_label/answer cannot be read": 1,
        "verified": 1,
        "prompts": 1,
        "without_source": 1,
        "extent/local": 2,
        "operation/add": 3,
        "operation/unknown": 1,
        "license/CC BY 4.0": 3,
        "license/unknown": 1,
    }


def test_pictures_stand_in_the_file_as_they_came(path):
    edit = make_edit(1)
    write_shard(path, [edit])
    data = path.read_bytes()
    assert edit.sources[0] in data
    assert edit.edited in data
    group = pq.read_metadata(path).row_group(0)
    columns = [group.column(number) for number in range(group.num_columns)]
    raw = {one.path_in_schema for one in columns if one.compression == "UNCOMPRESSED"}
    assert raw == {"sources.list.element", "edited"}
    assert {one.compression for one in columns} == {"UNCOMPRESSED", "ZSTD"}


def test_row_groups_are_read_in_the_order_asked_for(path):
    write_shard(path, map(make_edit, range(5)), rows_a_group=2)
    assert [edit.id for edit in read_edits(path, [2, 0])] == ["edit-4", "edit-0", "edit-1"]
    with path.open("rb") as file:
        assert [edit.id for edit in read_edits(file, [1])] == ["edit-2", "edit-3"]
    with pytest.raises(InvalidInputError, match=r"train-00003.*no row group 3, there are 3"):
        list(read_edits(path, [3]))


def test_one_edit_is_found_by_its_row(path):
    written = [make_edit(number) for number in range(5)]
    write_shard(path, written, rows_a_group=2)
    assert [read_edit(path, row) for row in range(5)] == written
    with pytest.raises(InvalidInputError, match="no row 5, there are 5"):
        read_edit(path, 5)


def test_an_exception_leaves_what_was_there_before(path):
    before = write_shard(path, [make_edit(1)])

    def failing():
        yield make_edit(2)
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        write_shard(path, failing(), rows_a_group=1)
    assert os.listdir(path.parent) == [path.name]
    assert describe_shard(path) == before


def test_a_shard_without_edits_is_no_file(path):
    write_shard(path, [make_edit(1)])
    assert write_shard(path, []) is None
    assert os.listdir(path.parent) == []


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"edited": b"not a picture"}, "the edited picture has no readable header"),
        ({"given": {"score": float("nan")}}, "given: holds a number that is not finite"),
    ],
)
def test_an_edit_that_cannot_be_stored_is_named_and_left_out(path, changes, reason):
    with ShardWriter(path) as writer:
        writer.write(make_edit(1))
        with pytest.raises(InvalidInputError, match=f"edit edit-2: {reason}"):
            writer.write(make_edit(2, **changes))
        writer.write(make_edit(3))
    assert [edit.id for edit in read_edits(path)] == ["edit-1", "edit-3"]


@pytest.mark.parametrize("limits", [{"rows_a_group": 0}, {"bytes_a_group": 0}])
def test_row_groups_that_hold_nothing_are_refused(path, limits):
    with pytest.raises(InvalidInputError, match="at least one row and one byte"):
        write_shard(path, [make_edit(1)], **limits)


def test_a_changed_byte_in_a_picture_is_noticed(path):
    edit = make_edit(1)
    write_shard(path, [edit])
    data = bytearray(path.read_bytes())
    data[data.find(edit.edited) + 100] ^= 1
    path.write_bytes(data)
    with pytest.raises(InvalidInputError, match=r"train-00003\.parquet: is damaged"):
        list(read_edits(path))
    assert read_facts(path).num_rows == 1


def test_a_changed_byte_in_the_footer_is_noticed(path):
    write_shard(path, [make_edit(1)])
    data = bytearray(path.read_bytes())
    footer = len(data) - 8 - int.from_bytes(data[-8:-4], "little")
    data[data.find(b"changed_share", footer)] ^= 0x80
    path.write_bytes(data)
    with pytest.raises(InvalidInputError, match=r"train-00003\.parquet: is damaged"):
        list(read_edits(path))


@pytest.mark.parametrize("kept", [0, 3, 0.5, 0.999])
def test_a_shard_cut_short_is_named(path, kept):
    write_shard(path, map(make_edit, range(3)))
    data = path.read_bytes()
    path.write_bytes(data[: int(kept * len(data)) if isinstance(kept, float) else kept])
    for read in (describe_shard, read_facts, count_edits, lambda shard: list(read_edits(shard))):
        with pytest.raises(InvalidInputError, match=r"train-00003\.parquet: is damaged"):
            read(path)


def test_files_that_are_no_shards_of_ours_are_refused(path, tmp_path):
    with pytest.raises(InvalidInputError, match="there is no such shard"):
        list(read_edits(path))
    pq.write_table(pa.table({"id": ["1"]}), path)
    with pytest.raises(InvalidInputError, match="is not a shard of packed edits"):
        list(read_edits(path))


@pytest.mark.parametrize(
    ("version", "remedy"), [(4, "a later one is needed"), (2, "build the data set again")]
)
def test_shards_of_another_version_are_refused_with_what_to_do(path, version, remedy):
    other = SCHEMA.with_metadata({"spatialreward.schema_version": str(version)})
    pq.write_table(pa.Table.from_pylist([], schema=other), path)
    for read in (read_facts, read_footer, lambda shard: list(read_edits(shard))):
        with pytest.raises(
            InvalidInputError,
            match=rf"train-00003\.parquet: has schema version {version}, .* reads 3; {remedy}",
        ):
            read(path)


def killed_after(path: Path, num_edits: int, num_lines: int) -> str:
    """Start a writer, kill it once it has said ``num_lines`` lines, return what else it said."""
    command = [sys.executable, "-m", "tests.data.packing.killed_writer", str(path), str(num_edits)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        for _ in range(num_lines):
            assert process.stdout.readline() == "written\n"
        process.kill()
        return process.stdout.read()


def test_a_killed_writer_leaves_no_shard_and_the_next_run_makes_the_same(tmp_path):
    num_edits = 24
    expected = write_shard(tmp_path / "reference", map(make_edit, range(num_edits)), rows_a_group=4)
    rng = random.Random(7)
    path = tmp_path / "killed" / "shard.parquet"
    path.parent.mkdir()
    # The last one is killed while it writes the footer, or gives the file its name.
    for num_lines in (rng.randrange(1, 8), *rng.sample(range(8, num_edits), 2), num_edits):
        said = killed_after(path, num_edits, num_lines)
        if path.exists():
            assert describe_shard(path).sha256 == expected.sha256
        else:
            assert "complete" not in said
        assert {one.name for one in path.parent.iterdir()} <= {path.name, f"{path.name}.partial"}
        shard = write_shard(path, map(make_edit, range(num_edits)), rows_a_group=4)
        assert (shard.sha256, shard.row_groups) == (expected.sha256, expected.row_groups)
        assert os.listdir(path.parent) == [path.name]
        path.unlink()
