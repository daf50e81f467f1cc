import itertools
import json
import os
import subprocess
import sys

import pyarrow.parquet as pq
import pytest

from spatialreward.data.dataset import Dataset, DatasetRef
from spatialreward.data.packing.manifest import ShardReport, gather, write_manifest
from spatialreward.data.packing.schema import SCHEMA
from spatialreward.data.packing.shards import write_shard
from spatialreward.errors import InvalidInputError
from spatialreward.storage import StorageError
from tests.data.packing.making import make_edit, make_prompt
from tests.hub_server import running_hub

HEX = "0" * 64


@pytest.fixture
def packed(tmp_path):
    """Ten edits in two shards of small row groups; the last of a shard is a prompt."""
    folder = tmp_path / "packed"
    folder.mkdir()
    reports = []
    for number in range(2):
        edits = [*map(make_edit, range(5 * number, 5 * number + 4)), make_prompt(5 * number + 4)]
        shard = write_shard(folder / f"edits-{number:05d}.parquet", edits, rows_a_group=2)
        reports.append(ShardReport(shard=shard, counts={"edits": 5}, left_out={}))
    write_manifest(gather(reports, {}), folder)
    return folder


def ids(edits):
    return [edit.id for edit in edits]


IDS = [f"edit-{number}" for number in range(10)]


@pytest.mark.parametrize(
    "text",
    [
        "data/edits",
        f"s3://bucket/data/edits/0123#sha256={HEX}",
        "hub:owner/name@0a1b2c",
        "hub:owner/name@refs/pr/1",
    ],
)
def test_a_reference_is_one_text(text):
    assert str(DatasetRef.parse(text)) == text


@pytest.mark.parametrize(
    "text",
    [
        "",
        "https://example.com/edits",
        "s3://bucket/key",
        "s3://bucket/key#sha256=abc",
        f"s3://bucket/key#sha256={HEX}&size=",
        f"s3://bucket#sha256={HEX}",
        "hub:owner/name",
        "hub:name@main",
    ],
)
def test_a_text_that_is_no_reference_says_what_was_expected(text):
    with pytest.raises(
        InvalidInputError, match=f"^{text!r}: expected .*s3://BUCKET/PREFIX#sha256=HEX"
    ):
        DatasetRef.parse(text)


def test_edits_come_in_the_order_in_which_they_were_packed(packed):
    data = DatasetRef.parse(str(packed)).open()
    assert len(data) == 10
    assert ids(data) == ids(data) == IDS
    assert next(iter(data)) == make_edit(0)


@pytest.mark.parametrize("first", [0, 1, 2, 4, 5, 7, 9, 10])
def test_reading_begins_at_any_number(packed, first):
    data = Dataset(packed)
    assert ids(data.edits(first)) == IDS[first:]
    ahead = itertools.islice(data.endlessly(first), 13)
    assert ids(ahead) == [IDS[(first + number) % 10] for number in range(13)]


def test_what_there_is_is_counted_from_the_footers(packed):
    data = Dataset(packed)
    assert (data.num_labelled, data.count("extent"), data.count("truth")) == (8, 8, 0)


def test_a_truth_of_any_length_is_counted(tmp_path):
    edits = [make_edit(1, truth="x" * 10_000), make_edit(2)]
    write_shard(tmp_path / "edits.parquet", edits)
    assert Dataset(tmp_path).count("truth") == 1
    assert list(Dataset(tmp_path)) == edits


def test_a_folder_without_a_manifest_is_read_by_the_names_of_its_shards(packed):
    (packed / "manifest.json").unlink()
    assert ids(Dataset(packed)) == IDS


def test_a_shard_that_no_manifest_names_is_not_read(packed):
    write_shard(packed / "edits-00002.parquet", [make_edit(99)])
    assert ids(Dataset(packed)) == IDS


def test_a_folder_without_shards_is_no_data_set(tmp_path):
    for folder in (tmp_path, tmp_path / "missing"):
        with pytest.raises(InvalidInputError, match=rf"{folder.name}: no data set here, expected"):
            DatasetRef.parse(str(folder)).open()


def test_a_shard_that_is_not_the_manifests_is_named(packed):
    write_shard(packed / "edits-00001.parquet", map(make_edit, range(5)), rows_a_group=2)
    with pytest.raises(InvalidInputError, match=r"edits-00001\.parquet has "):
        Dataset(packed)


def test_a_damaged_page_is_named_with_its_file(packed):
    (packed / "manifest.json").unlink()
    path = packed / "edits-00001.parquet"
    content = bytearray(path.read_bytes())
    content[content.find(make_edit(6).edited) + 50] ^= 1
    path.write_bytes(content)
    edits = iter(Dataset(packed))
    assert ids(itertools.islice(edits, 5)) == IDS[:5]
    with pytest.raises(InvalidInputError, match=r"packed/edits-00001\.parquet: is damaged"):
        list(edits)


def test_a_file_that_is_no_shard_is_named(tmp_path):
    (tmp_path / "notes.parquet").write_text("no Parquet")
    with pytest.raises(InvalidInputError, match=r"notes\.parquet: is damaged or no Parquet file"):
        Dataset(tmp_path)


def test_edits_can_be_read_without_their_pictures(packed):
    data = Dataset(packed)
    without = list(data.edits(3, pictures=False))
    assert ids(without) == IDS[3:]
    assert [edit.label for edit in without] == [edit.label for edit in data.edits(3)]


def test_a_data_set_of_an_older_schema_is_refused(packed, tmp_path):
    metadata = SCHEMA.metadata | {b"spatialreward.schema_version": b"2"}
    table = pq.read_table(packed / "edits-00000.parquet").replace_schema_metadata(metadata)
    pq.write_table(table, tmp_path / "edits-00000.parquet")
    with pytest.raises(InvalidInputError, match=r"edits-00000\.parquet: has schema version 2, "):
        Dataset(tmp_path)
    path = packed / "manifest.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"schema_version": 2}))
    with pytest.raises(InvalidInputError, match=r"manifest\.json: has schema version 2, "):
        Dataset(packed)


# In a process of its own: the hub's address is read when its library is imported.
_OPEN_FROM_HUB = """
import sys
from spatialreward.data.dataset import DatasetRef
from spatialreward.errors import SpatialRewardError
for name in sys.argv[1:]:
    try:
        data = DatasetRef.parse(name).open()
        print(data, *(edit.id for edit in data))
    except SpatialRewardError as error:
        print(error)
"""


def from_hub(folder, home, *references):
    """What a program prints that opens references to a hub with the folder as ``some/edits``."""
    with running_hub("some/edits", folder, "dataset") as (url, _):
        environment = os.environ | {"HF_ENDPOINT": url, "HF_HOME": str(home)}
        environment |= {"HF_HUB_DISABLE_XET": "1", "HF_HUB_DISABLE_PROGRESS_BARS": "1"}
        done = subprocess.run(
            [sys.executable, "-c", _OPEN_FROM_HUB, *references],
            env=environment,
            capture_output=True,
            text=True,
        )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def test_a_packed_data_set_is_opened_from_the_hub(packed, tmp_path):
    lines = from_hub(packed, tmp_path, "hub:some/edits@main", "hub:some/edits@gone", "hub:a/b@main")
    assert lines[0] == " ".join(["hub:some/edits@main", *IDS])
    assert lines[1] == "data set hub:some/edits@gone: the hub has no such revision"
    assert lines[2].startswith("data set hub:a/b@main: the hub has no such dataset")


def test_a_damaged_shard_of_the_hub_is_named(packed, tmp_path):
    shard = packed / "edits-00001.parquet"
    shard.write_bytes(shard.read_bytes()[:-1])
    [lines] = from_hub(packed, tmp_path, "hub:some/edits@main")
    assert lines.startswith("hub:some/edits@main: 1 of 2 shards are not as manifest.json says")


def test_rows_of_the_hub_that_are_not_packed_are_a_source(packed, tmp_path):
    (packed / "manifest.json").unlink()
    [lines] = from_hub(packed, tmp_path, "hub:some/edits@main")
    assert lines.startswith("data set hub:some/edits@main: has no manifest.json")
    assert lines.endswith('id = "some/edits" and revision = "main" in [source]')


@pytest.fixture
def named_store(store, s3, tmp_path, monkeypatch):
    """The store that the environment names, and an empty cache."""
    monkeypatch.setenv("S3_ENDPOINT_URL", s3.endpoint_url)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", s3.access_key)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", s3.secret_key)
    monkeypatch.setenv("SPATIALREWARD_CACHE", str(tmp_path / "cache"))
    return store


def test_a_reference_of_an_older_version_says_what_to_do():
    with pytest.raises(InvalidInputError, match="run the step again"):
        DatasetRef.parse(f"s3://bucket/data/0123.tar#sha256={HEX}&size=10")


def test_a_stored_folder_is_fetched_once(packed, named_store):
    store = named_store
    ref = store.put_folder(packed, "s3://steps/data")
    assert ids(DatasetRef.parse(str(ref)).open()) == IDS
    store.remove(ref.manifest_uri)
    data = DatasetRef.parse(f"{ref.uri}/#sha256={ref.sha256}").open()
    assert ids(data) == IDS
    assert data.name == ref.uri
    other = ref.model_copy(update={"sha256": HEX})
    with pytest.raises(StorageError, match=ref.uri):
        DatasetRef(place=other).open()


def test_a_shard_that_was_altered_is_named_and_the_data_set_is_not_there(
    packed, named_store, tmp_path
):
    ref = named_store.put_folder_at(packed, "s3://steps/harmed")
    named_store.put_file(packed / "edits-00000.parquet", f"{ref.uri}/edits-00001.parquet")
    for _ in range(2):
        with pytest.raises(StorageError, match=rf"^{ref.uri}/edits-00001\.parquet: expected "):
            DatasetRef.parse(str(ref)).open()
    assert not (tmp_path / "cache" / "data" / ref.sha256[:16]).exists()
