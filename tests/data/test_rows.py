import pytest

from spatialreward.data.dataset import Dataset
from spatialreward.data.packing.shards import write_shard
from spatialreward.data.rows import EditRows
from tests.data.packing.making import make_alone, make_edit, make_prompt


@pytest.fixture
def packed(tmp_path):
    folder = tmp_path / "packed"
    folder.mkdir()
    for shard in range(2):
        edits = [make_edit(5 * shard + number) for number in range(3)]
        edits += [make_prompt(5 * shard + 3), make_alone(5 * shard + 4)]
        write_shard(folder / f"edits-{shard:05d}.parquet", edits, rows_a_group=2)
    return folder


def test_rows(packed, tmp_path):
    data = Dataset(packed)
    rows = EditRows(data, tmp_path / "cache")
    assert [rows[n] for n in range(len(rows))] == list(data)
