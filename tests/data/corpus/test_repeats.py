"""A repeated id: the first row of the source keeps it, whichever shards the rows are in."""

import json
import shutil
from pathlib import Path

import pytest

from spatialreward.data.corpus.config import CorpusConfig
from spatialreward.data.corpus.running import build_corpus
from spatialreward.data.corpus.stages import pack_shard, prepare_shard, select
from spatialreward.data.filters.decontamination import BenchmarkIndex
from spatialreward.data.filters.reasons import Reason
from spatialreward.errors import InvalidInputError
from spatialreward.ops.config import read_toml
from tests.data.corpus.made import settings, write_edits
from tests.data.corpus.test_running import contents, edits_in

FAULT = Path(__file__).parents[4] / "shared" / "data" / "faults" / "id_comes_twice"


def rejects_in(folder):
    """Reason, file, row and detail of all rejects, in the order of the source."""
    rows = [
        json.loads(line)
        for path in sorted(folder.glob("*.rejects.jsonl"))
        for line in path.read_bytes().splitlines()
    ]
    found = [
        (row["reason"], row["origin"]["file"], int(row["origin"]["row"]), row["detail"])
        for row in rows
    ]
    return sorted(found, key=lambda one: one[1:3])


def with_ids(folder, **ids):
    """Six edits, of which some have other ids; returns the source's settings."""
    return write_edits(folder, 6, **{row: {"id": id} for row, id in ids.items()})


@pytest.mark.parametrize("num_shards", [1, 2, 3, 6])
def test_the_first_row_keeps_the_id_in_any_number_of_shards(tmp_path, num_shards):
    source = with_ids(tmp_path / "data", r1="same", r2="same", r4="same")
    manifest = build_corpus(settings(source=source, num_shards=num_shards), tmp_path / "out")
    first, second = rejects_in(tmp_path / "out")
    assert first == ("repeated id", "edits.jsonl", 3, "edits.jsonl, row 2, has this id already")
    assert second[:3] == ("repeated id", "edits.jsonl", 5)
    assert manifest.left_out == {Reason.REPEATED_ID: 2}
    kept = {(edit.id, edit.origin.row) for edit in edits_in(tmp_path / "out")}
    assert kept == {("r0", "1"), ("same", "2"), ("r3", "4"), ("r5", "6")}


@pytest.mark.parametrize("num_shards", [1, 2, 5])
def test_two_files_of_a_data_set_may_have_the_same_id(tmp_path, num_shards):
    source = with_ids(tmp_path / "data")
    lines = (tmp_path / "data" / "edits.jsonl").read_text().splitlines()
    (tmp_path / "data" / "edits.jsonl").write_text("\n".join(lines[:3]))
    other = [json.dumps(json.loads(line) | {"id": f"r{n}"}) for n, line in enumerate(lines[3:])]
    (tmp_path / "data" / "a.jsonl").write_text("\n".join(other))
    build_corpus(settings(source=source, num_shards=num_shards), tmp_path / "out")
    assert [(reason, file, row) for reason, file, row, _ in rejects_in(tmp_path / "out")] == [
        ("repeated id", "edits.jsonl", number) for number in (1, 2, 3)
    ]


@pytest.mark.parametrize("num_shards", [1, 3])
def test_a_row_that_cannot_be_used_keeps_no_id(tmp_path, num_shards):
    source = write_edits(
        tmp_path / "data", 6, r0={"id": "same", "edited": "nowhere.png"}, r1={"id": "same"}
    )
    config = settings(source=source, num_shards=num_shards)
    manifest = build_corpus(config, tmp_path / "out")
    assert manifest.left_out == {"missing picture": 1}
    assert ("same", "2") in {(edit.id, edit.origin.row) for edit in edits_in(tmp_path / "out")}


def test_a_build_that_goes_on_decides_the_same(tmp_path):
    source = with_ids(tmp_path / "data", r0="same", r1="same", r5="same")
    index = tmp_path / "index.json"
    config = settings(source=source, benchmarks=[str(index)])
    with pytest.raises(InvalidInputError, match=r"index\.json: No such file"):
        build_corpus(config, tmp_path / "out")
    assert len(list((tmp_path / "out" / "work" / "prepared").iterdir())) == 3
    BenchmarkIndex().write(index)
    build_corpus(config, tmp_path / "out")
    build_corpus(config, tmp_path / "whole")
    assert contents(tmp_path / "out") == contents(tmp_path / "whole")
    assert [row for _, _, row, _ in rejects_in(tmp_path / "out")] == [2, 6]


def test_shards_that_are_tasks_of_their_own_decide_the_same(tmp_path):
    config = settings(source=with_ids(tmp_path / "data", r0="same", r1="same", r3="same"))
    build_corpus(config, tmp_path / "whole")
    shards = [tmp_path / f"shard-{number}" for number in range(3)]
    for number in (2, 0, 1):
        prepare_shard(config, number, shards[number])
    counts = select(config, shards, tmp_path / "left-out")
    assert (counts.seen, counts.kept) == (5, 4)
    (tmp_path / "packed").mkdir()
    for number, shard in enumerate(shards):
        left_out = tmp_path / "left-out" / f"{shard.name}.jsonl"
        pack_shard(shard, left_out, number, tmp_path / "packed")
    whole, packed = contents(tmp_path / "whole"), contents(tmp_path / "packed")
    assert len(packed) == 6
    assert packed == {name: whole[name] for name in packed}


def test_a_shard_alone_names_the_row_that_has_the_id(tmp_path):
    source = with_ids(tmp_path / "data", r0="same", r3="same")
    config = settings(source=source, num_shards=3)
    counts = prepare_shard(config, 0, tmp_path / "shard")
    assert (counts.kept, counts.left_out) == (1, {Reason.REPEATED_ID: 1})
    [line] = (tmp_path / "shard" / "rejects.jsonl").read_text().splitlines()
    assert json.loads(line) == {
        "id": "same",
        "kind": "edit",
        "reason": "repeated id",
        "detail": "edits.jsonl, row 1, has this id already",
        "origin": {"file": "edits.jsonl", "row": "4"},
    }


def test_a_column_that_tells_no_rows_apart_is_no_id(tmp_path):
    source = write_edits(tmp_path / "data", 60)
    source["columns"] = source["columns"] | {"id": ["operation"]}
    with pytest.raises(InvalidInputError, match=r"of 60 rows have the id of another one; name col"):
        build_corpus(settings(source=source), tmp_path / "out")


@pytest.mark.skipif(not FAULT.is_dir(), reason="../shared/data/faults/id_comes_twice: not here")
def test_the_published_data_set_with_a_repeated_id_is_built(tmp_path, monkeypatch):
    write_edits(tmp_path / "edits", 1)
    for name in ("data.jsonl", "edits.toml"):
        shutil.copy(FAULT / name, tmp_path / "edits")
    monkeypatch.chdir(tmp_path / "edits")
    Path("0-source.png").rename("a.png")
    Path("0-edited.png").rename("b.png")
    Path("edits.jsonl").unlink()
    manifest = build_corpus(read_toml(CorpusConfig, Path("edits.toml")), tmp_path / "out")
    assert manifest.num_edits == 1
    assert rejects_in(tmp_path / "out") == [
        ("repeated id", "data.jsonl", 2, "data.jsonl, row 1, has this id already")
    ]
