"""The hub source, on local folders in the hub's form: ``datasets`` reads both alike."""

import json
from pathlib import Path

import pyarrow as pa
import pytest

from spatialreward.data.edits import LabelledEdit
from spatialreward.data.sources.columns import Columns
from spatialreward.data.sources.config import HubSource
from spatialreward.data.sources.opening import open_source
from spatialreward.errors import InvalidInputError
from tests.data.sources.small_data_sets import (
    IMAGE,
    edits_of,
    everything,
    image,
    picture,
    reasons_of,
    write_jsonl,
    write_parquet,
    write_tar,
)

# Metadata that `datasets` writes into a Parquet file to mark columns of pictures; without it they
# are plain structures.
FEATURES = {
    "before": {"_type": "Image"},
    "after": {"_type": "Image"},
    "text": {"dtype": "string", "_type": "Value"},
}
SCHEMA = pa.schema(
    [("before", IMAGE), ("after", IMAGE), ("text", pa.string())],
    metadata={"huggingface": json.dumps({"info": {"features": FEATURES}})},
)
COLUMNS = Columns(sources=("before",), edited="after", instruction="text")


@pytest.fixture(autouse=True)
def _cache_of_its_own(monkeypatch, tmp_path):
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path / "cache")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for number in range(3):
        rows = [
            {"before": image(f"a{number}{k}"), "after": image(f"b{number}{k}"), "text": f"do {k}"}
            for k in range(4)
        ]
        path = tmp_path / f"set/data/train-0000{number}-of-00003.parquet"
        write_parquet(path, rows, SCHEMA, row_group_size=2)
    return tmp_path / "set"


def source(folder: Path, columns: Columns = COLUMNS, **options):
    return open_source(HubSource(id=str(folder), columns=columns, **options))


def test_pictures_are_handed_on_as_they_are(folder):
    edits = {edit.id: edit for edit in edits_of(source(folder, name="set"))}
    assert len(edits) == 12
    edit = edits["set/data/train-00001-of-00003.parquet:3"]
    assert (edit.sources, edit.edited) == ((picture("a13"),), picture("b13"))


@pytest.mark.parametrize("num_shards", [2, 3, 4, 5, 7, 20])
def test_parts_are_disjoint_and_together_everything(folder, num_shards):
    opened = source(folder)
    assert everything(opened, num_shards) == everything(opened)


def test_a_file_that_breaks_half_way_is_one_reject_and_the_others_are_read(folder):
    path = folder / "data/train-00001-of-00003.parquet"
    path.write_bytes(path.read_bytes()[:-6])
    opened = source(folder)
    assert reasons_of(opened) == [("data/train-00001-of-00003.parquet:0", "broken file")]
    assert sum(isinstance(row, LabelledEdit) for row in everything(opened)) == 8
    assert everything(opened, 7) == everything(opened)


def test_a_missing_column_is_named_with_those_that_there_are(folder):
    columns = COLUMNS.model_copy(update={"instruction": "prompt"})
    with pytest.raises(InvalidInputError, match="no column prompt; there are after, before, text"):
        source(folder, columns)


def test_what_is_not_there_is_an_error_that_names_it(folder, tmp_path):
    with pytest.raises(InvalidInputError, match="dev"):
        source(folder, split="dev")
    with pytest.raises(InvalidInputError, match="nowhere"):
        source(tmp_path / "nowhere")


def test_json_lines_and_tars_are_read_too(tmp_path):
    write_jsonl(tmp_path / "json/train.jsonl", [{"before": "a.jpg", "text": "do"}])
    columns = Columns(sources=("before",), instruction="text")
    # A path beside a streamed row leads nowhere.
    assert [reason for _, reason in reasons_of(source(tmp_path / "json", columns))] == [
        "missing picture"
    ]
    entries = [("0.jpg", picture("a")), ("0.json", b'{"text": "do"}')]
    write_tar(tmp_path / "tars/train-0.tar", entries)
    [edit] = edits_of(source(tmp_path / "tars", Columns(sources=("jpg",), instruction="json.text")))
    assert (edit.sources, edit.instruction) == ((picture("a"),), "do")


def test_the_description_follows_the_data_and_not_its_place(folder, tmp_path):
    described = source(folder, name="set").describe()
    assert json.loads(json.dumps(described)) == described
    assert described["files"][2]["file"] == "data/train-00002-of-00003.parquet"
    assert (described["split"], described["ids"]) == ("train", "set")
    moved = folder.rename(tmp_path / "elsewhere")
    assert source(moved, name="set").describe() == described
