import json

from spatialreward.data.corpus.benchmarks import BenchmarkConfig, index_benchmark
from spatialreward.data.corpus.running import build_corpus
from spatialreward.data.packing.manifest import verify
from spatialreward.data.packing.rankings import read_rankings
from spatialreward.world.config import DataConfig
from spatialreward.world.drawing import draw_samples
from tests.data.corpus.made import settings

COLUMNS = [
    {
        "sources": ["before"],
        "edited": f"after.{place}",
        "instruction": "text",
        "id": ["id"],
        "part": str(place),
    }
    for place in range(2)
]
RANKINGS = {
    "sources": ["before"],
    "edited": ["after"],
    "instruction": "text",
    "id": ["id"],
    "scores": {"overall": ["scores"]},
}


def write_pairs(folder, count, **changed_rows):
    """A folder with a pair of edits a line, ``p0`` on; returns the source's settings."""
    folder.mkdir()
    lines = []
    for number, sample in enumerate(draw_samples(DataConfig(seed=3), "train", count)):
        names = [f"{number}-{place}.png" for place in range(2)]
        for name, data in zip(names, (sample.source, sample.edited), strict=True):
            (folder / name).write_bytes(data)
        row = {
            "id": f"p{number}",
            "before": names[0],
            "after": [names[1], names[0]],
            "text": sample.instruction,
            "scores": [number, 2],
        }
        lines.append(json.dumps(row | changed_rows.get(f"p{number}", {})))
    (folder / "pairs.jsonl").write_text("\n".join(lines), encoding="utf-8")
    return {"kind": "jsonl", "folder": str(folder), "columns": COLUMNS, "rankings": [RANKINGS]}


def rankings_in(folder):
    shards = verify(folder).rankings
    return {one.id: one for shard in shards for one in read_rankings(folder / shard.name)}


def reasons_in(folder):
    lines = [
        line
        for path in sorted(folder.glob("rankings-*.rejects.jsonl"))
        for line in path.read_text(encoding="utf-8").splitlines()
    ]
    return {row["id"]: row["reason"] for row in map(json.loads, lines)}


def test_rankings_are_packed_beside_the_edits_and_counted(tmp_path):
    source = write_pairs(tmp_path / "data", 4)
    config = settings(source=source, num_shards=2, filters={"duplicates": None})
    manifest = build_corpus(config, tmp_path / "out")
    rankings = rankings_in(tmp_path / "out")
    assert sorted(rankings) == [f"p{number}/ranking" for number in range(4)]
    assert [one.name for one in manifest.rankings] == [
        "rankings-00000.parquet",
        "rankings-00001.parquet",
    ]
    orders = {one.id: one.orders["overall"] for one in rankings.values()}
    assert orders == {
        "p0/ranking": (1, 0),
        "p1/ranking": (1, 0),
        "p2/ranking": (0, 0),
        "p3/ranking": (0, 1),
    }
    assert all(len(one.fingerprints) == 3 for one in rankings.values())
    assert manifest.counts["rankings"] == manifest.counts["ranked/overall"] == 4
    assert manifest.counts["tied/overall"] == 1
    assert "| overall | 4 | 1 |" in (tmp_path / "out" / "README.md").read_text()


def test_a_ranking_that_cannot_be_used_is_named_and_counted_apart_from_the_edits(tmp_path):
    source = write_pairs(
        tmp_path / "data",
        4,
        p1={"scores": ["good", "bad"]},
        p2={"id": "p0"},
    )
    (tmp_path / "data" / "3-1.png").write_bytes(b"no picture")
    config = settings(
        source=source, num_shards=1, filters={"duplicates": None}, max_reject_share=0.9
    )
    manifest = build_corpus(config, tmp_path / "out")
    assert sorted(rankings_in(tmp_path / "out")) == ["p0/ranking"]
    rejects = (tmp_path / "out" / "rankings-00000.rejects.jsonl").read_text().splitlines()
    assert [(row["id"], row["reason"]) for row in map(json.loads, rejects)] == [
        ("p1/ranking", "invalid ranking"),
        ("p0/ranking", "repeated id"),
        ("p3/ranking", "unreadable picture"),
    ]
    assert manifest.counts["rankings_left_out/invalid ranking"] == 1
    assert "invalid ranking" not in manifest.left_out


def test_rankings_of_a_benchmarks_pictures_and_repeated_ones_are_left_out(tmp_path):
    benchmark = write_pairs(tmp_path / "benchmark", 1)
    index = index_benchmark(BenchmarkConfig.model_validate({"name": "b", "source": benchmark}))
    index.write(tmp_path / "b.json")
    source = write_pairs(tmp_path / "data", 6)
    lines = (tmp_path / "data" / "pairs.jsonl").read_text().splitlines()
    twin = json.loads(lines[5]) | {"id": "twin"}
    (tmp_path / "data" / "pairs.jsonl").write_text("\n".join([*lines, json.dumps(twin)]))
    exactly = {"picture_bits": 0, "picture_bits_with_text": 0}
    config = settings(
        source=source,
        num_shards=2,
        benchmarks=[str(tmp_path / "b.json")],
        filters={"benchmarks": exactly},
        max_reject_share=0.9,
    )
    build_corpus(config, tmp_path / "out")
    reasons = reasons_in(tmp_path / "out")
    assert reasons["p0/ranking"] == "overlaps with a benchmark"
    # Shards take turns at the rows: the twin's comes before that of the row it repeats.
    assert reasons["p5/ranking"] == "exact duplicate"
    assert rankings_in(tmp_path / "out").keys().isdisjoint(reasons)
    assert len(rankings_in(tmp_path / "out")) + len(reasons) == 7
