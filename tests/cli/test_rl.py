import json
import os
import signal
import subprocess
import sys
import time

import pytest
from PIL import Image
from typer.testing import CliRunner

from spatialreward.cli.main import app
from spatialreward.world.building import build_shard
from spatialreward.world.config import DataConfig
from spatialreward.world.tiny_editor import TinyEditor

FEW = (
    *("rl.num_prompts=2", "rl.group_size=3", "rl.sampling.num_denoising_steps=2"),
    *("rl.watch.num_prompts=2", "rl.watch.group_size=2"),
)


@pytest.fixture
def options(editor_folder, tmp_path):
    changes = [f"--set={one}" for one in (*FEW, "rl.num_steps=6")]
    where = ["--editor", str(editor_folder), "--judge", "oracle", "--out", str(tmp_path / "out")]
    return ["rl", "train", *where, *changes]


def run(*arguments):
    return CliRunner().invoke(app, list(map(str, arguments)))


def lines(folder):
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


def test_a_training_leaves_editor_metrics_and_pictures(options, tmp_path):
    out = tmp_path / "out"
    done = run(*options)
    assert done.exit_code == 0, done.output
    assert "mean reward of the first 5 of 6 steps 0." in done.stdout
    TinyEditor.load(out / "editor")
    card = json.loads((out / "editor" / "card.json").read_text())
    assert card["training"]["num_steps"] == 6
    assert card["judged_by"].startswith("oracle/1")
    assert [line["step"] for line in lines(out)] == [0, 1, 2, 3, 4, 5, 6]
    assert 0 <= lines(out)[1]["reward/mean"] <= 1
    watched = [line["step"] for line in lines(out) if "watch/oracle_reward" in line]
    assert watched == [0, 6]
    assert card["best_step"] in watched
    assert {path.name for path in (out / "watch").iterdir()} == {
        "step-00000.png",
        "step-00006.png",
    }
    text = (out / "editor" / "README.md").read_text()
    assert "| judge | 1.0 | reward | oracle/1, geometric |" in text
    assert f"| base | {options[options.index('--editor') + 1]} |" in text
    for name in ("before", "after", "rewards"):
        with Image.open(out / f"{name}.png") as picture:
            assert picture.width > 500
    assert {path.name for path in out.iterdir()} == {
        *("editor", "metrics.jsonl", "settings.json", "watch"),
        *("before.png", "after.png", "rewards.png"),
    }
    again = run(*options)
    assert again.stdout == f"{out / 'editor'} is finished; for another training use a new folder\n"
    assert again.exit_code == 0
    other = run(*options, "--set", "rl.learning_rate=0.5")
    assert other.exit_code == 1
    assert f"{out}: was started with rl.learning_rate 0.0002, now it is 0.5;" in other.stderr
    with_another_judge = run(*options, "--judge", "pixels")
    assert "was started with judge 'oracle/1" in with_another_judge.stderr


def test_a_killed_training_goes_on_with_the_same_command(options, tmp_path):
    out = tmp_path / "out"
    options = [*options, "--set", "rl.num_steps=9"]
    code = f"import sys; sys.argv = ['spatialreward', *{options!r}]\n"
    code += "from spatialreward.cli.main import main\nmain()"
    process = subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.DEVNULL)
    try:
        while not (out / "state.pt").is_file():
            assert process.poll() is None
            time.sleep(0.02)
    finally:
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
    assert not (out / "editor").exists()
    before = lines(out)
    done = run(*options)
    assert done.exit_code == 0, done.output
    assert [line["step"] for line in lines(out)] == list(range(10))
    assert lines(out)[:5] == before[:5]
    assert not (out / "state.pt").exists()


def test_tasks_of_a_data_set_are_asked_for(options, tmp_path):
    build_shard(DataConfig(num_train=4, num_shards=1), "train", 0, tmp_path / "data")
    settings = tmp_path / "rl.toml"
    settings.write_text("[rl]\nnum_steps = 1\n")
    data = ("--data", tmp_path / "data")
    done = run(*options[:8], *(f"--set={one}" for one in FEW), "--config", settings, *data)
    assert done.exit_code == 0, done.output
    told = json.loads((tmp_path / "out" / "settings.json").read_text())
    assert told["rl.num_steps"] == 1
    assert told["rl.prompts"] == str(tmp_path / "data")
    assert len(told["data"]) == 64
    with Image.open(tmp_path / "out" / "after.png") as picture:
        assert picture.height < 2000, "a row for each of the 4 tasks, not for 12"


def test_what_cannot_be_used_is_one_line_before_anything_is_written(options, tmp_path):
    (tmp_path / "file").write_text("")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "a").write_text("")
    (tmp_path / "gone.jsonl").write_text('{"id": "a", "source": "no.png", "instruction": "x"}')
    (tmp_path / "bad.toml").write_text("[rl]\nnum_stepps = 3\n")
    cases = [
        (("--editor", tmp_path / "no"), f"--editor {tmp_path}/no: there is no such folder"),
        (("--editor", tmp_path / "full"), "no editor here"),
        (("--judge", tmp_path / "no"), f"judge {tmp_path}/no: there is no such folder"),
        (("--judge", "oracle", "--protocol", "tiny"), "judge oracle: takes no protocol"),
        (("--data", tmp_path / "full"), "no data set here"),
        (
            ("--data", tmp_path / "gone.jsonl"),
            f"line 1: source {tmp_path}/no.png: there is no such",
        ),
        (("--config", tmp_path / "no.toml"), "no.toml: No such file"),
        (("--config", tmp_path / "bad.toml"), "bad.toml: rl.num_stepps: no such key"),
        (("--set", "rl.num_steps"), "--set rl.num_steps: expected KEY=VALUE"),
        (("--set", "rl.group_size=1"), "--set rl.group_size=1: rl.group_size: Input should be"),
        (("--set", "rl.sampling.eta=0"), "eta: expected more than 0"),
        (("--set", f'rl.rewards=[{{judge="{tmp_path}/no"}}]'), f"judge {tmp_path}/no: there is"),
        (
            ("--set", f'rl.evaluation_rewards=[{{judge="{tmp_path}/no"}}]'),
            f"judge {tmp_path}/no: there is",
        ),
        (("--out", tmp_path / "file"), f"{tmp_path}/file: is a file"),
        (("--out", tmp_path / "full"), f"{tmp_path}/full: is there already, and holds no training"),
        (("--out", tmp_path / "file" / "out"), f"{tmp_path}/file/out: "),
    ]
    for change, complaint in cases:
        done = run(*options, *change)
        assert done.exit_code == 1, complaint
        assert complaint in done.stderr, (complaint, done.stderr)
        assert done.stderr.count("\n") == 1
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_two_processes_are_started_and_one_writes(options, tmp_path):
    out = tmp_path / "out"
    changes = ["--set=rl.num_steps=1", "--set=rl.processes=2"]
    command = [sys.executable, "-m", "spatialreward.cli", *options, *changes]
    done = subprocess.run(command, capture_output=True, text=True, timeout=500, check=False)
    assert done.returncode == 0, done.stderr[-4000:]
    assert f"the editor and its card are in {out / 'editor'}" in done.stdout
    assert [line["step"] for line in lines(out)] == [0, 1]
    TinyEditor.load(out / "editor")
