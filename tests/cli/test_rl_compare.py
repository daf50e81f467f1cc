import json

import pytest
from PIL import Image
from typer.testing import CliRunner

from spatialreward.cli.main import app


@pytest.fixture
def run(editor_folder):
    def run(*options):
        words = ["rl", "compare", "--before", editor_folder, "--after", editor_folder, *options]
        words += ["--set", "evaluation.num_instructions=4", "--set", "evaluation.denoising."]
        words[-1] += "num_denoising_steps=2"
        return CliRunner().invoke(app, list(map(str, words)))

    return run


def test_an_editor_is_as_good_as_itself(run, tmp_path):
    done = run("--judge", "oracle", "--out", tmp_path / "sheets", "--json")
    assert done.exit_code == 0, done.output
    figures = json.loads(done.stdout)
    assert figures["gain"] == figures["gain_ci95_low"] == figures["gain_ci95_high"] == 0
    assert figures["oracle_reward_before"] == figures["oracle_reward_after"] > 0
    assert figures["served_reward_after"] == pytest.approx(figures["oracle_reward_after"])
    for name in ("before", "after"):
        with Image.open(tmp_path / "sheets" / f"{name}.png") as sheet:
            assert sheet.width > 500


def test_without_a_judge_the_oracle_alone_is_shown(run):
    lines = run().stdout.splitlines()
    assert [line.split()[0] for line in lines] == [
        *("oracle_reward_before", "oracle_reward_after"),
        *("gain", "gain_ci95_low", "gain_ci95_high"),
    ]


def test_what_does_not_go_together_is_one_line(run, tmp_path):
    (tmp_path / "file").write_text("")
    cases = [
        (("--after", tmp_path / "no"), f"--after {tmp_path}/no: there is no such folder"),
        (
            ("--protocol", "tiny"),
            "--adapter, --protocol and --mode are about a judge: give --judge, too",
        ),
        (("--set", "evaluation.x=1"), "--set evaluation.x=1: evaluation.x: no such key"),
        (("--out", tmp_path / "file"), f"--out {tmp_path}/file: "),
    ]
    for options, complaint in cases:
        done = run(*options)
        assert done.exit_code == 1
        assert complaint in done.stderr
        assert done.stderr.count("\n") == 1
