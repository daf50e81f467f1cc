"""The whole pipeline on the whole stack, with models that learn next to nothing."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
from mlflow import MlflowClient
from typer.testing import CliRunner

import pipelines
from spatialreward.cli.main import app
from spatialreward.client import TritonJudge
from spatialreward.images import encode_png
from spatialreward.ops.pipeline_run import Outcome, recorded_outcome
from spatialreward.ops.registry import aliases_of, look_up, report_of
from spatialreward.ops.tracking import child_runs
from spatialreward.stack import StackConfig, down, environment, up
from spatialreward.stack.processes import MARK

ROOT = Path(pipelines.__file__).parents[1]
RUN_TIMEOUT_S = 1_200
"""A minute and a half on an idle machine; several times that beside other work."""
TRITON_PYTHON = ROOT / ".venv-triton" / "bin" / "python"

PROFILE = """
[data]
num_train = 32
num_heldout = 12
[judge.base]
kind = "folder"
folder = "{judge}"
[judge.training]
num_samples = 8
earlier_share = 0.5
drawn_share = 0.5
[judge.training.optimiser]
learning_rate = 1e-7    # the test judge knows how to answer, and must not forget it
batch_size = 4
[judge.gate]
min_pairwise_accuracy = 0
min_mean_iou = 0
max_unparsable_share = 1
gain_ci95_low_above = -1
[editor.pretraining]
num_samples = 8
stage_shares = [0.5]
optimiser.batch_size = 4
codec = {{ num_samples = 8, optimiser.batch_size = 4 }}
network = {{ width = 48, num_layers = 1, num_heads = 2 }}
[drawing]
num_edits = 4
group_size = 2
denoising.num_denoising_steps = 2
[rl]
num_steps = 2
num_prompts = 2
group_size = 2
max_failed_share = 1
sampling.num_denoising_steps = 2
[editor_evaluation]
num_instructions = 4
num_groups = 2
group_size = 2
denoising.num_denoising_steps = 2
num_bootstrap_samples = 50
"""


class Runner:
    """Runs ``python -m pipelines run`` in a folder of its own."""

    def __init__(self, folder, judge):
        self.folder = folder
        self.stack = StackConfig(state_dir=folder / "stack", triton_python=TRITON_PYTHON)
        profile = folder / "small.toml"
        profile.write_text(PROFILE.format(judge=judge))
        self.command = [sys.executable, "-m", "pipelines", "run", "--profile", str(profile)]
        self.command += ["--state-dir", "stack", "--triton-python", str(TRITON_PYTHON)]
        self.variables = os.environ | {
            "PYTHONPATH": str(ROOT),
            "SPATIALREWARD_WORK_DIR": str(folder / "work"),
        }

    def start(self, *options):
        return subprocess.Popen(
            [*self.command, *options],
            cwd=self.folder,
            env=self.variables,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, *options):
        process = self.start(*options)
        try:
            shown, said = process.communicate(timeout=RUN_TIMEOUT_S)
        except BaseException:
            process.send_signal(signal.SIGINT)
            process.wait()
            raise
        return process.returncode, shown, said

    def left_running(self):
        """Names of processes that carry the mark of this folder's stack."""
        mark = str(self.stack.state_dir.resolve())
        found = []
        for process in psutil.process_iter():
            try:
                if process.environ().get(MARK) == mark and process.status() != "zombie":
                    found.append(process.name())
            except psutil.Error:
                continue
        return found


@pytest.fixture(scope="module")
def runner(tmp_path_factory, judge_folder):
    folder = tmp_path_factory.mktemp("pipeline")
    runner = Runner(folder, judge_folder)
    yield runner
    down(runner.stack.state_dir)
    shutil.rmtree(folder / "stack", ignore_errors=True)


@pytest.fixture(scope="module")
def edits(runner, known_samples):
    sample = known_samples[0]
    for name, picture in zip(("source", "edited"), sample.images(), strict=True):
        (runner.folder / f"{name}.png").write_bytes(encode_png(picture))
    record = {"id": "one", "source": "source.png", "edited": "edited.png", "instruction": "add it"}
    broken = record | {"id": "two", "source": "nowhere.png"}
    path = runner.folder / "edits.jsonl"
    path.write_text(f"{json.dumps(record)}\n{json.dumps(broken)}\n")
    return path


def test_what_cannot_run_is_refused_before_anything_starts(runner):
    status, shown, said = runner.run("--set", "rl.num_step=3")
    assert status == 1
    assert shown == ""
    assert said.startswith("error: --set rl.num_step=3: rl.num_step: no such key")
    assert not runner.stack.state_dir.exists()


@pytest.mark.slow
def test_nothing_is_left_running_after_an_interrupt(runner, monkeypatch):
    process = runner.start()
    for line in process.stderr:
        if "build-shard: " in line:
            break
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130
    assert said.splitlines()[-1] == "interrupted"
    assert runner.left_running() == []
    endpoints = up(runner.stack)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", endpoints.mlflow.tracking_uri)
    (interrupted,) = runs_of(MlflowClient(endpoints.mlflow.tracking_uri))
    assert interrupted.info.status == "KILLED"
    # An interrupt ends the last step too.
    assert recorded_outcome(interrupted.info.run_id) is None


@pytest.mark.slow
@pytest.mark.timeout(2 * RUN_TIMEOUT_S)
def test_the_pipeline_stops_at_its_gate_and_goes_on_when_it_passes(runner, edits, monkeypatch):
    endpoints = up(runner.stack)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", endpoints.mlflow.tracking_uri)
    client = MlflowClient(endpoints.mlflow.tracking_uri)
    began = time.time()

    status, _, said = runner.run("--set", "judge.gate.min_mean_iou=1")
    (complaint,) = [line for line in said.splitlines() if line.startswith("error: ")]
    assert status == 1, said
    assert complaint.startswith("error: step register-judge failed: models:/spatial-reward/2: ")
    assert "the earlier judge stays a candidate: models:/spatial-reward/1: the judge does" in said
    assert "the judge does not pass its gate: mean_iou" in complaint
    assert "log.txt" in complaint
    assert "Traceback" not in said

    status, shown, said = runner.run("--also-judge", str(edits))
    assert status == 0, said
    for word in ("judge/mean_iou", "pixel difference", "untrained judge", "before RL", "overlays"):
        assert word in shown
    check_files(runner.folder / "build", began)
    check_runs(client)
    for name, value in environment(endpoints).items():
        monkeypatch.setenv(name, value)
    check_versions()
    judge = TritonJudge(endpoints.triton.grpc)
    assert "generated scenes" in judge.notice
    assert sorted(runner.left_running()) == sorted(
        process.name() for pid in endpoints.processes for process in tree(pid.pid)
    )


@pytest.mark.slow
@pytest.mark.timeout(2 * RUN_TIMEOUT_S)
def test_a_part_alone_goes_on_from_what_it_is_given(runner):
    status, shown, said = runner.run("--pipeline", "data")
    assert status == 0, said
    given = dict(line.split(" ") for line in shown.splitlines() if line.startswith("--"))
    assert set(given) == {"--data", "--heldout", "--drawn", "--editor"}

    # The judge of the whole pipeline has stepped down: this one is another, and has no earlier one.
    three = ["--set", "judge.training.seed=12", "--set", "judge.training.earlier_share=0"]
    three += [word for name in ("--data", "--heldout", "--drawn") for word in (name, given[name])]
    status, shown, said = runner.run("--pipeline", "judge", *three)
    assert status == 0, said
    assert "judge/mean_iou" in shown
    assert "before RL" not in shown
    figures = json.loads((runner.folder / "build/figures/pipeline-judge.json").read_text())
    assert {figure["name"].partition("/")[0] for figure in figures["figures"]} >= {"judge", "time"}

    status, shown, said = runner.run("--pipeline", "editor", "--editor", given["--editor"])
    assert status == 0, said
    assert "before RL" in shown
    assert "models:/spatial-editor/" in shown


def tree(pid):
    process = psutil.Process(pid)
    return [process, *process.children(recursive=True)]


def check_files(build, began):
    written = json.loads((build / "figures" / "demo.json").read_text())
    values = {figure["name"]: figure["value"] for figure in written["figures"]}
    judge = ("pairwise_accuracy", "mean_iou", "unparsable_share")
    editor = ("oracle_reward_before", "oracle_reward_after", "gain_ci95_low")
    assert values.keys() >= {f"judge/{name}" for name in judge}
    assert values.keys() >= {f"editor/{name}" for name in editor}
    assert values["on_disk/unparsable_share"] >= 0.5
    assert 0 < values["time/total_s"] < time.time() - began
    assert 0.3 < values["memory/peak_gb"] < 8
    reused = {"build-shard", "merge-shards", "pretrain-editor", "draw-edits", "train-judge"}
    assert set(written["reused_steps"]) >= reused | {"evaluate-judge"}
    assert [path.name for path in (build / "demo" / "overlays").iterdir()] == ["one.png"]
    lines = (build / "demo" / "judgements.jsonl").read_text().splitlines()
    assert json.loads(lines[1])["reason"].endswith("nowhere.png: there is no such file")
    pictures = {path.name for path in (build / "demo" / "pictures").iterdir()}
    assert pictures == {"judge.png", "served_reward.png", "editor_before.png", "editor_after.png"}


def runs_of(client):
    """All runs of the pipeline, the last one first."""
    experiment = client.get_experiment_by_name("spatialreward")
    return client.search_runs([experiment.experiment_id], "attributes.run_name = 'pipeline small'")


def check_runs(client):
    last, failed, *_ = runs_of(client)
    assert [run.info.status for run in (last, failed)] == ["FINISHED", "FAILED"]
    assert recorded_outcome(last.info.run_id) == Outcome("succeeded")
    recorded = recorded_outcome(failed.info.run_id)
    assert (recorded.ended, recorded.step) == ("failed", "register-judge")
    assert "the judge does not pass its gate: mean_iou" in recorded.error
    assert client.get_run(recorded.run_id).data.tags["final"] == "true"
    assert last.data.params["rl.num_steps"] == "2"
    assert last.data.metrics["judge/unparsable_share"] <= 1
    steps = child_runs(last.info.run_id)
    assert {step.status for step in steps} == {"FINISHED"}
    assert len(steps) == 15


def check_versions():
    """Two judges were champion in turn, each on its own report, and the last one can step down."""
    aliases = aliases_of("spatial-reward")
    assert {alias: one.version for alias, one in aliases.items()} == {
        "candidate": 2,
        "champion": 2,
        "previous": 1,
    }
    found = {alias: look_up(model.uri) for alias, model in aliases.items()}
    reports = {alias: report_of(one) for alias, one in found.items()}
    assert reports["champion"].checkpoint_sha256 != reports["previous"].checkpoint_sha256
    assert reports["champion"].inputs == reports["previous"].inputs
    assert {one.tags["gate"] for one in found.values()} == {"passed"}
    done = CliRunner().invoke(app, ["demote", "judge", "--yes", "--reason", "to try it"])
    assert done.exit_code == 0, done.stderr
    assert {alias: one.version for alias, one in aliases_of("spatial-reward").items()} == {
        "candidate": 2,
        "champion": 1,
    }
