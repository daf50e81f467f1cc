import json

import pytest
from PIL import Image, ImageDraw
from typer.testing import CliRunner

from spatialreward.cli.main import app
from tests.data.corpus.made import write_edits


def run(*arguments):
    return CliRunner().invoke(app, ["data", *map(str, arguments)])


def error_of(result):
    assert result.exit_code == 1
    return result.stderr.strip().splitlines()[-1]


@pytest.fixture
def config(tmp_path):
    source = write_edits(tmp_path / "edits", 4)
    path = tmp_path / "edits.toml"
    columns = ", ".join(
        f"{name} = {json.dumps(value)}" for name, value in source["columns"].items()
    )
    path.write_text(
        f'name = "small"\nnum_shards = 2\n[source]\nkind = "jsonl"\n'
        f"folder = {json.dumps(source['folder'])}\ncolumns = {{ {columns} }}\n"
    )
    return path


def test_a_build_ends_in_a_folder_that_can_be_verified(tmp_path, config):
    result = run("build", config, "--out", tmp_path / "out", "--workers", 1)
    assert result.exit_code == 0, result.output
    assert "edits are in" in result.output
    assert "are unharmed" in run("verify", tmp_path / "out").output


def test_a_damaged_shard_is_named(tmp_path, config):
    run("build", config, "--out", tmp_path / "out", "--workers", 1)
    shard = tmp_path / "out" / "edits-00001.parquet"
    shard.write_bytes(shard.read_bytes()[:-1] + b"?")
    assert "edits-00001.parquet has sha256" in error_of(run("verify", tmp_path / "out"))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name = ", "edits.toml: "),
        ('name = "small"\n[source]\nkind = "jsonll"', "edits.toml: source.kind: expected"),
        (
            'name = "small"\nshards = 2\n[source]\nkind = "world"',
            "edits.toml: shards: no such key, did you mean num_shards?",
        ),
    ],
)
def test_settings_that_are_wrong_are_named(tmp_path, text, message):
    (tmp_path / "edits.toml").write_text(text)
    result = run("build", tmp_path / "edits.toml", "--out", tmp_path / "out")
    assert message in error_of(result)
    assert not (tmp_path / "out").exists()


def test_regions_of_two_pictures_are_told_and_drawn(tmp_path):
    before = Image.new("RGB", (200, 100), "white")
    after = before.copy()
    ImageDraw.Draw(after).rectangle((50, 20, 99, 69), "red")
    before.save(tmp_path / "a.png")
    after.save(tmp_path / "b.png")
    picture = tmp_path / "regions.png"
    result = run("regions", tmp_path / "a.png", tmp_path / "b.png", "--picture", picture)
    told = json.loads(result.output)
    assert told["extent"] == "local"
    [region] = told["regions"]
    assert region["bbox_2d"] == pytest.approx([250, 200, 500, 700], abs=15)
    with Image.open(picture) as drawn:
        assert drawn.size == (2 * 800 + 8, 400)


def test_a_benchmark_is_indexed_and_then_left_out(tmp_path, config):
    source = config.read_text().partition("[source]")[2]
    (tmp_path / "benchmark.toml").write_text(f'name = "Bench"\n[source]{source}')
    result = run("index", tmp_path / "benchmark.toml", "--out", tmp_path / "bench.json")
    assert "4 items" in result.output
    text = config.read_text()
    config.write_text(f"benchmarks = [{json.dumps(str(tmp_path / 'bench.json'))}]\n{text}")
    result = run("build", config, "--out", tmp_path / "out", "--workers", 1)
    assert "overlaps with a benchmark" in error_of(result)


def test_presets_are_listed():
    assert "magicbrush" in run("presets").output
