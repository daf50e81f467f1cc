import json

import pytest
from typer.testing import CliRunner

from spatialreward.cli.main import app
from spatialreward.world.building import build_shard
from spatialreward.world.config import DataConfig
from tests.benchmarks.folders import (
    built_pair,
    group,
    pair,
    write_built,
    write_editreward,
    write_mer,
)


def run(*arguments):
    return CliRunner().invoke(app, ["benchmark", *map(str, arguments)])


@pytest.fixture
def folder(tmp_path):
    return write_mer(
        tmp_path / "mer", group("2pair_0", 2), group("3pair_0", 3), group("2pair_1", 1)
    )


def test_two_judges_are_measured_and_compared(folder, tmp_path):
    out = tmp_path / "out"
    judges = ("--judge", "pixels", "--judge", "oracle")
    done = run("mer-bench", "--folder", folder, *judges, "--out", out)
    assert done.exit_code == 0, done.stderr
    assert "MER-Bench (MultiEditReward-Bench): 2 rows of 2 prompts" in done.stdout
    assert "oracle/1, geometric: no judgement of 5 of 5 edits: bad_input 5" in done.stdout
    assert "oracle/1, geometric minus pixels/1, geometric, ours" in done.stdout
    heads = [line.split("┃") for line in done.stdout.splitlines() if "reference rules ┃" in line]
    assert [cell.strip() for cell in heads[0]][1:4] == ["reference rules", "ours", "95 % interval"]
    assert "left out: 1, the first: 2pair-00000-of-00001.parquet row 1" in done.stderr
    report = json.loads((out / "report.json").read_text())
    assert [one["judge"]["name"] for one in report["judges"]] == ["pixels", "oracle"]
    assert (out / "report.md").is_file()
    for number in (1, 2):
        assert len((out / f"judge-{number}" / "rows.jsonl").read_text().splitlines()) == 5


def test_a_folder_of_results_keeps_to_its_judge(folder, tmp_path):
    asked = ("mer-bench", "--folder", folder, "--out", tmp_path / "out", "--judge")
    assert run(*asked, "pixels").exit_code == 0
    assert run(*asked, "pixels").exit_code == 0
    refused = run(*asked, "oracle")
    assert refused.exit_code == 1
    assert "began with pixels/1, geometric, this one has oracle" in " ".join(refused.stderr.split())


def test_the_other_benchmarks_have_commands_too(tmp_path):
    write_editreward(tmp_path / "erb", pair("ab", "overall"), pair("ac", "consistency"))
    write_built(tmp_path / "mmrb2", built_pair("p", "A", sources=3))
    for command, name, row in (
        ("editreward-bench", "erb", "overall_min"),
        ("mmrb2", "mmrb2", "accuracy_official"),
    ):
        place, out = tmp_path / name, tmp_path / f"{name}-out"
        done = run(command, "--folder", place, "--judge", "pixels", "--out", out)
        assert done.exit_code == 0, done.stderr
        assert row in done.stdout


def test_what_is_no_benchmark_is_refused_before_a_judge_is_loaded(tmp_path):
    asked = ("--folder", tmp_path, "--judge", tmp_path / "nothing", "--out", tmp_path / "out")
    refused = run("mmrb2", *asked)
    assert refused.exit_code == 1
    assert "expected edit/test-*.parquet or test-*.parquet or edit.json in it" in refused.stderr
    assert not (tmp_path / "out").exists()


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
