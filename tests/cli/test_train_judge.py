import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

import spatialreward
from spatialreward.cli.main import app
from spatialreward.data.packing.shards import write_shard
from spatialreward.judges.load import load_judge
from spatialreward.world.building import build_shard
from spatialreward.world.config import DataConfig
from tests.data.packing.making import make_edit

ROOT = Path(spatialreward.__file__).parents[1]
SETTINGS = ("num_samples=12", "optimiser.batch_size=4", "report_every=1", "save_every=1")


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("edits")
    build_shard(DataConfig(seed=21, num_train=12, num_shards=1), "train", 0, folder)
    return folder


def words(data, out, *more, settings=SETTINGS):
    given = ["train", "judge", "--data", str(data), "--base", "shipped", "--out", str(out)]
    for one in (*settings, *more):
        given += ["--set", one]
    return given


def run(*arguments, **more):
    return CliRunner().invoke(app, words(*arguments, **more))


def test_a_judge_is_written_with_its_metrics(data, tmp_path, known_edits):
    out = tmp_path / "judge"
    done = run(data, out)
    assert done.exit_code == 0, done.stderr
    assert done.stdout == f"the judge and its card are in {out}\n"
    lines = [json.loads(line) for line in (out / "training.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == [1, 2, 3]
    assert all(line["loss/all"] > 0 for line in lines)
    assert not (tmp_path / "judge.training").exists()
    with load_judge(out) as judge:
        assert "generated scenes" in judge.notice
        assert len(judge.judge(known_edits[:1])) == 1
    again = run(data, out)
    assert again.exit_code == 1
    assert again.stderr == f"error: --out {out}: is there already\n"


def test_the_same_command_goes_on_after_a_kill_and_others_are_refused(data, tmp_path, monkeypatch):
    from spatialreward.training import sft

    def killed(self, trainer, out, card):
        raise KeyboardInterrupt

    out = tmp_path / "judge"
    with monkeypatch.context() as patch:
        patch.setattr(sft.JudgeWriter, "write", killed)
        assert run(data, out).exit_code == 130
    assert not out.exists()
    other = run(data, out, "seed=3")
    assert other.exit_code == 1
    assert "holds the state of another training: seed was 11, is 3" in other.stderr
    done = run(data, out)
    assert done.exit_code == 0, done.stderr
    lines = [json.loads(line) for line in (out / "training.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == [1, 2, 3]


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (("optimiser.lr=1",), "error: --set optimiser.lr=1: optimiser.lr: no such key"),
        (("tuning.kind=lora",), "trains_vision: LoRA trains the language model alone"),
        (("protocol=mine",), "error: --set protocol=mine: protocol: "),
        (("samples_at_a_time=3",), "error: samples_at_a_time 3: expected a divisor of 4"),
    ],
)
def test_settings_that_cannot_be_are_refused_and_nothing_is_written(data, tmp_path, more, message):
    done = run(data, tmp_path / "judge", *more)
    assert done.exit_code == 1
    assert message in done.stderr
    assert done.stderr.count("\n") == 1
    assert not (tmp_path / "judge").exists()


def test_data_without_labels_is_refused(tmp_path):
    folder = tmp_path / "edits"
    folder.mkdir()
    write_shard(folder / "edits.parquet", [make_edit(1, label=None)])
    done = run(folder, tmp_path / "judge")
    assert done.exit_code == 1
    assert f"error: {folder}: 0 of 1 edits have a label to train a judge on" in done.stderr


@pytest.mark.slow
def test_several_processes_are_started_and_one_writes(data, tmp_path):
    out = tmp_path / "judge"
    adamw = (*SETTINGS, "processes=2", "deepspeed=zero2", "optimiser.matrices=adamw")
    done = subprocess.run(
        [sys.executable, "-m", "spatialreward.cli", *words(data, out, settings=adamw)],
        env=os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=500,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == f"the judge and its card are in {out}"
    card = json.loads((out / "card.json").read_text())
    assert card["training_processes"] == 2
    assert len((out / "training.jsonl").read_text().splitlines()) == 3
