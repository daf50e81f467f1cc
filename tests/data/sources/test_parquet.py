from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from spatialreward.data.edits import LabelledEdit, Rejected
from spatialreward.data.sources.columns import Columns
from spatialreward.data.sources.config import ParquetSource
from spatialreward.data.sources.opening import open_source
from spatialreward.errors import InvalidInputError
from tests.data.sources.small_data_sets import (
    IMAGE,
    edits_of,
    everything,
    image,
    picture,
    reasons_of,
    write_parquet,
    write_pictures,
)

SCHEMA = pa.schema([("before", IMAGE), ("after", IMAGE), ("text", pa.string())])
COLUMNS = Columns(sources=("before",), edited="after", instruction="text")


def rows(count: int, name: str = "") -> list[dict]:
    return [
        {"before": image(f"a{name}{k}"), "after": image(f"b{name}{k}"), "text": f"do {name} {k}"}
        for k in range(count)
    ]


def source(folder: Path, columns: Columns = COLUMNS, **options):
    return open_source(ParquetSource(folder=str(folder), columns=columns, **options))


def test_rows_are_read_across_row_groups_and_files(tmp_path):
    write_parquet(tmp_path / "data/0.parquet", rows(25, "x"), SCHEMA, row_group_size=10)
    write_parquet(tmp_path / "data/1.parquet", rows(3, "y"), SCHEMA)
    edits = edits_of(source(tmp_path, name="set"))
    assert len(edits) == 28
    by_id = {edit.id: edit for edit in edits}
    edit = by_id["set/data/0.parquet:24"]
    assert (edit.sources, edit.edited) == ((picture("ax24"),), picture("bx24"))
    assert by_id["set/data/1.parquet:0"].instruction == "do y 0"


@pytest.mark.parametrize(
    ("kind", "value", "expected"),
    [
        (pa.binary(), picture("a"), (picture("a"),)),
        (pa.list_(IMAGE), [image("a"), image("b")], (picture("a"), picture("b"))),
        (pa.list_(pa.binary()), [picture("a")], (picture("a"),)),
        (pa.string(), "a.png", (picture("a.png"),)),
        (IMAGE, {"bytes": None, "path": "a.png"}, (picture("a.png"),)),
    ],
)
def test_pictures_may_be_kept_in_any_of_the_usual_ways(tmp_path, kind, value, expected):
    write_pictures(tmp_path, "a.png")
    schema = pa.schema([("pictures", kind), ("text", pa.string())])
    write_parquet(tmp_path / "0.parquet", [{"pictures": value, "text": "do"}], schema)
    [edit] = edits_of(source(tmp_path, Columns(sources=("pictures",), instruction="text")))
    assert edit.sources == expected
    assert edit.edited is None


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"before": {"bytes": b"", "path": None}}, "missing picture"),
        ({"after": {"bytes": None, "path": None}}, "missing picture"),
        ({"after": {"bytes": None, "path": "../b.png"}}, "path outside the data set"),
        ({"text": None}, "missing field"),
        ({"text": " "}, "missing field"),
    ],
)
def test_a_row_that_cannot_be_read_is_left_out_and_the_others_are_not(tmp_path, change, reason):
    first, second = rows(2)
    write_parquet(tmp_path / "0.parquet", [first | change, second], SCHEMA)
    opened = source(tmp_path)
    assert reasons_of(opened) == [("0.parquet:0", reason)]
    assert len(everything(opened)) == 2


def test_text_that_is_not_utf8_costs_its_own_row_only(tmp_path):
    texts = pa.array([b"fine", b"\xff\xfe", b"fine too"], pa.binary())
    texts = pa.Array.from_buffers(pa.string(), 3, texts.buffers())
    pictures = pa.array([image(name) for name in "abc"], IMAGE)
    table = pa.table({"before": pictures, "after": pictures, "text": texts})
    pq.write_table(table, tmp_path / "0.parquet")
    opened = source(tmp_path)
    assert reasons_of(opened) == [("0.parquet:1", "unreadable row")]
    assert len(everything(opened)) == 3


def test_a_missing_column_is_named_with_those_that_there_are(tmp_path):
    write_parquet(tmp_path / "0.parquet", rows(1), SCHEMA)
    columns = COLUMNS.model_copy(update={"instruction": "prompt"})
    with pytest.raises(InvalidInputError, match=r"0\.parquet: no column prompt; there are after, "):
        source(tmp_path, columns)


@pytest.mark.parametrize("size", [0, 3, 200, -1])
def test_a_file_cut_short_is_one_reject_and_the_others_are_read(tmp_path, size):
    path = write_parquet(tmp_path / "0.parquet", rows(20), SCHEMA)
    write_parquet(tmp_path / "1.parquet", rows(5), SCHEMA)
    path.write_bytes(path.read_bytes()[:size])
    opened = source(tmp_path)
    assert reasons_of(opened) == [("0.parquet:all", "broken file")]
    assert len(everything(opened)) == 6


def test_a_damaged_row_group_is_one_reject_and_the_next_is_read(tmp_path):
    path = write_parquet(
        tmp_path / "0.parquet", rows(30), SCHEMA, row_group_size=10, compression="NONE"
    )
    damage(path, row_group=1)
    opened = source(tmp_path)
    assert reasons_of(opened) == [("0.parquet:10", "broken file")]
    edits = [row.id for row in everything(opened) if isinstance(row, LabelledEdit)]
    assert edits == sorted(f"0.parquet:{k}" for k in (*range(10), *range(20, 30)))
    [reject] = [row for row in everything(opened) if isinstance(row, Rejected)]
    assert reject.detail.startswith("rows 10 to 19: ")


def test_columns_that_are_not_named_are_not_read(tmp_path):
    path = write_parquet(tmp_path / "0.parquet", rows(3), SCHEMA, compression="NONE")
    damage(path, row_group=0, column="after")
    assert len(edits_of(source(tmp_path, Columns(sources=("before",), instruction="text")))) == 3


@given(
    sizes=st.lists(st.integers(0, 9), min_size=1, max_size=4),
    broken=st.sets(st.integers(0, 3)),
    num_shards=st.integers(1, 40),
)
@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_parts_are_disjoint_and_together_everything(tmp_path, sizes, broken, num_shards):
    for old in tmp_path.glob("*.parquet"):
        old.unlink()
    for number, size in enumerate(sizes):
        path = write_parquet(tmp_path / f"{number}.parquet", rows(size), SCHEMA, row_group_size=4)
        if number in broken:
            path.write_bytes(path.read_bytes()[:-5])
    opened = source(tmp_path)
    whole = everything(opened)
    assert everything(opened, num_shards) == whole
    lost = [number for number in range(len(sizes)) if number in broken]
    intact = sum(size for number, size in enumerate(sizes) if number not in broken)
    assert len({row.id for row in whole}) == len(whole) == intact + len(lost)


@pytest.mark.parametrize("num_shards", [1, 2, 3, 7, 30, 50])
def test_one_part_alone_reports_a_damaged_row_group(tmp_path, num_shards):
    path = write_parquet(
        tmp_path / "0.parquet", rows(30), SCHEMA, row_group_size=10, compression="NONE"
    )
    damage(path, row_group=1)
    opened = source(tmp_path)
    assert everything(opened, num_shards) == everything(opened)


def damage(path: Path, row_group: int, column: str = "before") -> None:
    """Overwrite the beginning of a column chunk."""
    group = pq.ParquetFile(path).metadata.row_group(row_group)
    chunks = [group.column(k) for k in range(group.num_columns)]
    chunk = next(one for one in chunks if one.path_in_schema == f"{column}.bytes")
    data = bytearray(path.read_bytes())
    start = chunk.dictionary_page_offset
    data[start : start + 40] = b"\xff" * 40
    path.write_bytes(data)
