"""How many rows a source says that it has, before any is read."""

import pyarrow as pa
import pytest

from spatialreward.data.sources.columns import Columns
from spatialreward.data.sources.config import (
    HubSource,
    JsonlSource,
    ParquetSource,
    WebDatasetSource,
    WorldSource,
)
from spatialreward.data.sources.opening import open_source
from tests.data.sources.small_data_sets import (
    IMAGE,
    image,
    picture,
    write_jsonl,
    write_parquet,
    write_tar,
)

SCHEMA = pa.schema([("before", IMAGE), ("text", pa.string())])
COLUMNS = Columns(sources=("before",), instruction="text")


def jsonl(folder):
    rows = [{"before": f"{number}.png", "text": "x"} for number in range(5)]
    write_jsonl(folder / "a.jsonl", [*rows[:3], b"", b"{"])
    write_jsonl(folder / "b.jsonl", rows[4:])
    return JsonlSource(folder=str(folder), columns=COLUMNS)


def parquet(folder):
    rows = [{"before": image(str(number)), "text": "x"} for number in range(5)]
    write_parquet(folder / "a.parquet", rows[:3], SCHEMA)
    write_parquet(folder / "b.parquet", rows[3:], SCHEMA)
    return ParquetSource(folder=str(folder), columns=COLUMNS)


def hub(folder):
    parquet(folder / "data")
    return HubSource(id=str(folder), columns=COLUMNS)


def webdataset(folder):
    for name, numbers in (("a", range(3)), ("b", range(3, 5))):
        files = [
            (f"{number}.{kind}", data)
            for number in numbers
            for kind, data in (("jpg", picture(str(number))), ("txt", b"x"))
        ]
        write_tar(folder / f"{name}.tar", files)
    columns = Columns(sources=("jpg",), instruction="txt")
    return WebDatasetSource(folder=str(folder), columns=columns)


@pytest.mark.parametrize("make", [jsonl, parquet, hub, webdataset])
def test_rows_are_counted_up_to_as_many_as_are_asked_for(tmp_path, monkeypatch, make):
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path / "cache")
    source = open_source(make(tmp_path / "set"))
    assert [source.num_rows(most) for most in (1, 4, 5, 6, 100)] == [1, 4, 5, 5, 5]


def test_the_world_has_as_many_as_the_settings_say():
    source = open_source(WorldSource(count=3))
    assert [source.num_rows(most) for most in (2, 3, 9)] == [2, 3, 3]


def test_behind_a_broken_place_nobody_knows(tmp_path):
    config = webdataset(tmp_path / "tars")
    tar = tmp_path / "tars" / "b.tar"
    tar.write_bytes(tar.read_bytes()[:600])
    assert open_source(config).num_rows(100) == 100
    config = parquet(tmp_path / "parquet")
    (tmp_path / "parquet" / "b.parquet").write_bytes(b"PAR1")
    assert open_source(config).num_rows(100) == 100
