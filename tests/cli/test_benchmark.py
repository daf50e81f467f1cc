import json

from typer.testing import CliRunner

from spatialreward.cli.main import app
from spatialreward.world.building import build_shard
from spatialreward.world.config import DataConfig


def run(*arguments):
    return CliRunner().invoke(app, ["benchmark", *map(str, arguments)])


def test_a_judge_is_attacked_and_the_edits_are_drawn(tmp_path):
    build_shard(DataConfig(seed=31, num_heldout=40), "heldout", 0, tmp_path / "edits")
    out = tmp_path / "out"
    asked = ("--data", tmp_path / "edits", "--judge", "pixels", "--num-edits", 4)
    done = run("trust", *asked, "--out", out)
    assert done.exit_code == 0, done.stderr
    assert "trust/other_source/mean_change" in done.stdout
    told = json.loads((out / "trust.json").read_text())
    assert told["judge"] == "pixels/1, geometric"
    assert told["num_bad_edits"] == 4
    assert (out / "trust.png").is_file()


def test_where_a_judge_looks_is_measured_and_drawn(tmp_path, judge_folder):
    build_shard(DataConfig(seed=31, num_heldout=4), "heldout", 0, tmp_path / "edits")
    out = tmp_path / "out"
    asked = ("--data", tmp_path / "edits", "--judge", judge_folder, "--num-edits", 2)
    done = run("attention", *asked, "--out", out)
    assert done.exit_code == 0, done.stderr
    assert "attention/source_share" in done.stdout
    told = json.loads((out / "attention.json").read_text())
    assert told["num_edits"] == 2
    assert set(told["by_layer"]) == {"regions", "reasoning", "scores"}
    assert (out / "attention.png").is_file()
