import hashlib
import json

import pytest

from spatialreward.data.edits import RowOrigin
from spatialreward.data.packing.manifest import (
    PackedShard,
    ShardReport,
    gather,
    read_manifest,
    verify,
    write_manifest,
)
from spatialreward.data.packing.shards import count_edits, write_shard
from spatialreward.errors import InvalidInputError
from tests.data.packing.making import make_edit, make_prompt


def shard(name, rows=(2,)):
    where = RowOrigin(file="train.jsonl", row="1")
    return PackedShard(
        name=name, sha256="a" * 64, size_bytes=10, row_groups=rows, first=where, last=where
    )


def report(name, counts, left_out):
    return ShardReport(
        shard=None if name is None else shard(name), counts=counts, left_out=left_out
    )


@pytest.fixture
def packed(tmp_path):
    """A folder with three shards of two edits each and their manifest."""
    reports = []
    for number in range(3):
        path = tmp_path / f"train-{number:05d}.parquet"
        written = write_shard(path, [make_edit(2 * number), make_prompt(2 * number + 1)])
        reports.append(ShardReport(shard=written, counts=count_edits(path), left_out={"small": 1}))
    write_manifest(gather(reports, {"seed": 7}), tmp_path)
    return tmp_path


def test_a_manifest_adds_up_what_shards_report():
    manifest = gather(
        [
            report("b.parquet", {"edits": 2, "extent/local": 2}, {"small": 3}),
            report(None, {"edits": 0}, {"small": 1, "duplicate": 4}),
            report("a.parquet", {"edits": 2, "extent/global": 2}, {}),
        ],
        {"seed": 7},
    )
    assert [one.name for one in manifest.shards] == ["a.parquet", "b.parquet"]
    assert manifest.counts == {"edits": 4, "extent/global": 2, "extent/local": 2}
    assert manifest.left_out == {"duplicate": 4, "small": 4}
    assert manifest.config == {"seed": 7}
    assert manifest.num_edits == 4
    assert manifest.made_by.startswith("spatialreward ")


def test_a_manifest_does_not_depend_on_which_shard_was_ready_first():
    reports = [report(f"{name}.parquet", {"edits": 2}, {name: 1}) for name in "abc"]
    assert gather(reports, {}) == gather(reversed(reports), {})


def test_two_shards_of_one_name_are_refused():
    twice = [report("a.parquet", {}, {})] * 2
    with pytest.raises(InvalidInputError, match=r"a\.parquet: two shards have this name"):
        gather(twice, {})


def test_where_nothing_is_left_the_reason_is_reported():
    reports = [report(None, {}, {"too small": 1_200, "duplicate": 3})]
    with pytest.raises(InvalidInputError, match=r"dropped for 'too small' \(1,200\)"):
        gather(reports, {})


def test_a_manifest_is_read_as_it_was_written(packed):
    manifest = read_manifest(packed)
    assert manifest.counts["edits"] == 6
    assert manifest.counts["prompts"] == 3
    write_manifest(manifest, packed)
    assert read_manifest(packed) == manifest


def test_the_digest_is_the_checksum_of_the_checksums(packed):
    lines = [
        f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.name}\n"
        for path in sorted(packed.glob("*.parquet"))
    ]
    assert read_manifest(packed).digest == hashlib.sha256("".join(lines).encode()).hexdigest()


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"schema_version": 4}, "has schema version 4, .* reads 3; a later one is needed"),
        ({"schema_version": 2}, "has schema version 2, .* reads 3; build the data set again"),
        ({"shards": []}, "shards: "),
        ({"surplus": 1}, "surplus: "),
    ],
)
def test_a_manifest_that_cannot_be_read_says_why(packed, change, reason):
    path = packed / "manifest.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(InvalidInputError, match=rf"manifest\.json: .*{reason}"):
        read_manifest(packed)


@pytest.mark.parametrize("text", ["", "{", "[1]", "\udcff"])
def test_a_manifest_that_is_none_is_refused(packed, text):
    (packed / "manifest.json").write_bytes(text.encode(errors="surrogateescape"))
    with pytest.raises(InvalidInputError, match=r"manifest\.json: "):
        read_manifest(packed)


def test_a_folder_without_manifest_is_no_packed_data_set(tmp_path):
    with pytest.raises(
        InvalidInputError, match=r"no packed data set here, expected manifest\.json"
    ):
        read_manifest(tmp_path)


def test_whole_data_sets_pass(packed):
    assert verify(packed) == read_manifest(packed)


def test_every_shard_that_differs_is_named_with_what_differs(packed):
    flipped, cut = packed / "train-00000.parquet", packed / "train-00001.parquet"
    data = bytearray(flipped.read_bytes())
    data[len(data) // 2] ^= 1
    flipped.write_bytes(data)
    cut.write_bytes(cut.read_bytes()[:-1])
    with pytest.raises(InvalidInputError, match="2 of 3 shards") as caught:
        verify(packed)
    assert "train-00000.parquet has sha256" in str(caught.value)
    assert "train-00001.parquet has " in str(caught.value)
    assert "train-00002" not in str(caught.value)
    cut.unlink()
    with pytest.raises(InvalidInputError, match=r"train-00001\.parquet is missing"):
        verify(packed)
