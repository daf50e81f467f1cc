import json

import mlflow.data
import pytest

from spatialreward.data.packing.manifest import ShardReport, gather
from spatialreward.data.packing.shards import count_edits, write_shard
from spatialreward.errors import InvalidInputError
from spatialreward.ops.data_registration import log_packed, packed_dataset
from spatialreward.ops.tracking import Tracker, open_run
from tests.data.packing.making import make_edit

URI = "s3://data/hats/v1"


@pytest.fixture
def manifest(tmp_path):
    path = tmp_path / "train-00000.parquet"
    shard = write_shard(path, [make_edit(1), make_edit(2)])
    report = ShardReport(shard=shard, counts=count_edits(path), left_out={"duplicate": 3})
    return gather([report], {"side_px": 512})


def test_a_packed_data_set_is_described_as_mlflow_describes_data_sets(manifest):
    fields = packed_dataset(manifest, URI, "hats").to_dict()
    assert fields["name"] == "hats"
    assert fields["digest"] == manifest.digest[:36]
    assert json.loads(fields["source"]) == {"uri": URI}
    assert fields["source_type"] == "s3"
    columns = {one["name"]: one for one in json.loads(fields["schema"])["mlflow_colspec"]}
    assert columns["editing_success"] == {
        "type": "double",
        "name": "editing_success",
        "required": False,
    }
    profile = json.loads(fields["profile"])
    assert profile["num_rows"] == 2
    assert profile["sha256"] == manifest.digest
    assert profile["counts"]["operation/add"] == 2
    assert profile["left_out"] == {"duplicate": 3}


def test_a_folder_is_a_source_too(manifest, tmp_path):
    fields = packed_dataset(manifest, str(tmp_path), "hats").to_dict()
    assert fields["source_type"] == "local"
    assert json.loads(fields["source"]) == {"uri": str(tmp_path)}


def test_a_place_that_mlflow_does_not_know_is_named(manifest):
    with pytest.raises(InvalidInputError, match="data set at 'ftp9://hats'"):
        packed_dataset(manifest, "ftp9://hats", "hats")


def test_a_run_names_the_packed_data_set_that_it_read(manifest, client):
    with open_run("train") as tracker:
        log_packed(tracker, manifest, URI, name="hats")
    [found] = client.get_run(tracker.run_id).inputs.dataset_inputs
    assert found.dataset.digest == manifest.digest[:36]
    assert json.loads(found.dataset.profile)["counts"]["edits"] == 2
    assert [(tag.key, tag.value) for tag in found.tags] == [("mlflow.data.context", "training")]
    assert mlflow.data.get_source(found).uri == URI


def test_a_server_that_refuses_costs_the_note_alone(manifest, client, caplog):
    log_packed(Tracker(client, "no such run"), manifest, URI, name="hats")
    assert "data set hats not recorded" in caplog.text


def test_without_a_server_the_log_says_it(manifest, caplog):
    with caplog.at_level("INFO"):
        log_packed(Tracker(None, None), manifest, URI, name="hats")
    assert f"data set hats: 2 edits, {URI}, sha256 {manifest.digest}" in caplog.text
