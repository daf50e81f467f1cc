import pyarrow.parquet as pq
import pytest
from datasets import load_dataset
from pydantic import ValidationError

from spatialreward.data.edits import Ranking
from spatialreward.data.packing.card import About, write_card
from spatialreward.data.packing.manifest import ShardReport, gather, verify, write_manifest
from spatialreward.data.packing.rankings import RANKINGS, count_rankings, read_rankings
from spatialreward.data.packing.shards import ShardWriter, count_edits, read_edits, write_shard
from spatialreward.errors import InvalidInputError
from tests.data.packing.making import make_edit, make_ranking


def write(path, *rankings: Ranking):
    with ShardWriter(path, layout=RANKINGS, rows_a_group=2) as writer:
        for ranking in rankings:
            writer.write(ranking)
    return writer.shard


def test_rankings_come_back_as_they_went(tmp_path):
    rankings = [make_ranking(number) for number in range(5)]
    shard = write(tmp_path / "rankings-00000.parquet", *rankings)
    assert list(read_rankings(tmp_path / shard.name)) == rankings
    assert (shard.row_groups, shard.first.row, shard.last.row) == ((2, 2, 1), "0", "4")
    with (tmp_path / shard.name).open("rb") as file:
        assert list(read_rankings(file, name="one")) == rankings


def test_no_ranking_is_no_file(tmp_path):
    assert write(tmp_path / "rankings-00000.parquet") is None
    assert list(tmp_path.iterdir()) == []


def test_rankings_are_counted_by_dimension_with_their_ties(tmp_path):
    other = make_ranking(2, orders={"instruction_following": (0, 1, 2)})
    write(tmp_path / "rankings-00000.parquet", make_ranking(1), other)
    assert count_rankings(tmp_path / "rankings-00000.parquet") == {
        "rankings": 2,
        "ranked/instruction_following": 2,
        "tied/instruction_following": 1,
        "ranked/überall": 1,
        "tied/überall": 0,
    }


def test_edits_and_rankings_are_not_taken_for_each_other(tmp_path):
    write(tmp_path / "rankings.parquet", make_ranking())
    write_shard(tmp_path / "edits.parquet", [make_edit()])
    with pytest.raises(InvalidInputError, match=r"edits\.parquet: is not a shard of rankings"):
        next(read_rankings(tmp_path / "edits.parquet"))
    with pytest.raises(InvalidInputError, match=r"rankings\.parquet: is not a shard of packed"):
        next(read_edits(tmp_path / "rankings.parquet"))


def test_rankings_of_a_later_version_are_refused(tmp_path):
    path = tmp_path / "rankings.parquet"
    write(path, make_ranking())
    later = {b"spatialreward.rankings_version": b"2"}
    pq.write_table(pq.read_table(path).replace_schema_metadata(later), path)
    with pytest.raises(InvalidInputError, match="has version 2 of rankings"):
        next(read_rankings(path))


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"orders": {"overall": (0, 1)}}, "overall: expected 3 ranks, got 2"),
        ({"orders": {"overall": (0, 2, 2)}}, r"overall: expected ranks from 0 on without a gap"),
        ({"orders": {}}, "at least 1"),
        ({"edits": make_ranking().edits[:1]}, "at least 2"),
        ({"edits": make_ranking().edits[:1] * 3}, "ids of edited pictures are not unique"),
        ({"sources": ()}, "at least 1"),
    ],
)
def test_what_puts_nothing_in_order_is_no_ranking(changes, problem):
    with pytest.raises(ValidationError, match=problem):
        make_ranking(**changes)


def test_a_card_and_a_manifest_tell_of_rankings_and_hugging_face_reads_both(tmp_path):
    edits = tmp_path / "edits-00000.parquet"
    report = ShardReport(
        shard=write_shard(edits, [make_edit(1)]),
        rankings=write(tmp_path / "rankings-00000.parquet", make_ranking(1), make_ranking(2)),
        counts=count_edits(edits) | count_rankings(tmp_path / "rankings-00000.parquet"),
        left_out={},
    )
    manifest = gather([report], {})
    write_manifest(manifest, tmp_path)
    assert verify(tmp_path) == manifest
    about = About(name="hats", summary="Hats.", license_note="Ask.")
    text = write_card(tmp_path, about).read_text()
    assert "| instruction_following | 2 | 2 |" in text
    assert "| überall | 2 | 0 |" in text
    assert len(list(load_dataset(str(tmp_path), split="train", streaming=True))) == 1
    pairs = load_dataset(str(tmp_path), "rankings", split="train", streaming=True)
    assert [row["id"] for row in pairs] == ["row-1/ranking", "row-2/ranking"]
    (tmp_path / "rankings-00000.parquet").unlink()
    with pytest.raises(InvalidInputError, match=r"rankings-00000\.parquet is missing"):
        verify(tmp_path)
