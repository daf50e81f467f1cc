"""Two processes that train one judge over gloo, as torchrun starts them in a TrainJob."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from safetensors.torch import load_file

import spatialreward
from spatialreward.judges.qwen_vl import checkpoint
from spatialreward.judges.qwen_vl.folder import HEAD_FILE
from spatialreward.training.config import JudgeTrainingConfig
from spatialreward.training.processes import ALONE, ProcessesError, joined, run_together
from spatialreward.world.building import build_shard
from spatialreward.world.config import DataConfig
from tests.training.graded import tasks_of

ROOT = Path(spatialreward.__file__).parents[1]
FIGURES = ("loss/all", "loss/regions", "loss/scores", "optimiser/gradient_norm")
OF_HEAD = ("loss/pairs", "loss/known_scores", "pairs/per_batch", "pairs/accuracy")
SETTINGS = {
    "num_samples": 12,
    "report_every": 1,
    "save_every": 2,
    "optimiser": {"batch_size": 4, "warmup_steps": 2, "learning_rate": 1e-3},
}
LORA = {"trains_vision": False, "tuning": {"kind": "lora", "rank": 4, "alpha": 8, "dropout": 0}}


@pytest.fixture(scope="module")
def place(tmp_path_factory, untrained):
    folder = tmp_path_factory.mktemp("processes")
    checkpoint.save(folder / "base", *untrained, {})
    build_shard(DataConfig(seed=21, num_train=24, num_shards=1), "train", 0, folder / "data")
    tasks_of(folder / "tasks", 6)
    return folder


@pytest.fixture(scope="module")
def trained(place):
    """Trains with some settings and so many processes, once; weights and reports of the first."""
    done = {}

    def train(name, more, processes):
        if name not in done:
            done[name] = run(place, name, SETTINGS | more, processes)
        return done[name]

    return train


def run(place, name, settings, processes):
    out = place / name
    module = "tests.training.sft_worker"
    command = [sys.executable, "-m", module]
    if processes:
        command = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
        command += [f"--nproc-per-node={processes}", "--module", module]
    data = place / ("tasks" if settings.get("kind") == "joint" else "data")
    done = subprocess.run(
        [*command, str(place / "base"), str(data), str(out), json.dumps(settings)],
        env=os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=500,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-4000:]
    reports = [
        json.loads((place / f"{name}.{rank}.json").read_text()) for rank in range(processes or 1)
    ]
    head = out / HEAD_FILE
    weights = load_file(out / "model.safetensors") | (load_file(head) if head.is_file() else {})
    return weights, reports


# The same samples are in memory together, however many processes there are.
JOINT = {"kind": "joint", "perceptual_share": 0.5, "samples_at_a_time": 2}
CASES = {
    "plain": ({}, {}),
    "zero2": ({"deepspeed": "zero2"}, {}),
    "zero3": ({"deepspeed": "zero3"}, {}),
    "joint-zero3": ({"deepspeed": "zero3"} | JOINT, JOINT),
    "joint-lora-zero3": ({"deepspeed": "zero3"} | JOINT | LORA, JOINT | LORA),
}


@pytest.mark.parametrize("case", CASES)
def test_two_processes_do_what_one_does_with_the_whole_batch(trained, case):
    together, alone = CASES[case]
    weights, reports = trained(case, together, 2)
    expected, [reports_alone] = trained("alone-" + "-".join(alone), alone, 0)
    assert [step for step, _ in reports[0]] == [1, 2, 3]
    assert reports[1] == []
    for (_, mine), (_, theirs) in zip(reports[0], reports_alone, strict=True):
        for figure in (*FIGURES, *(one for one in OF_HEAD if one in theirs)):
            assert mine[figure] == pytest.approx(theirs[figure], rel=1e-4), figure
    # Under the published names, whole, and nothing twice.
    assert weights.keys() == expected.keys()
    for name, weight in weights.items():
        assert (weight - expected[name]).abs().max() < 1e-3, name


def test_they_have_moved_from_where_they_began(trained, place):
    start = load_file(place / "base" / "model.safetensors")
    weights, _ = trained("zero3", CASES["zero3"][0], 2)
    assert sum((weights[name] != one).any().item() for name, one in start.items()) > 50


def test_a_killed_training_of_two_goes_on_from_the_state_of_both(trained, place):
    """The last state is as if the process had been killed behind it."""
    whole, reports = trained("zero2", CASES["zero2"][0], 2)
    (place / "again.states").mkdir()
    kept = place / "zero2.states" / "checkpoint-2"
    kept.rename(place / "again.states" / "checkpoint-2")
    weights, [again, _] = run(place, "again", SETTINGS | CASES["zero2"][0], 2)
    assert [step for step, _ in again] == [3]
    assert again[0][1]["loss/all"] == pytest.approx(reports[0][2][1]["loss/all"], rel=1e-6)
    for name, weight in whole.items():
        assert (weight - weights[name]).abs().max() < 1e-6, name


def test_a_process_that_nobody_started_is_alone(monkeypatch):
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    with joined(JudgeTrainingConfig()) as processes:
        assert processes is ALONE
        assert processes.is_first
        assert processes.from_first("mine") == "mine"


def test_processes_that_fail_are_an_error():
    with pytest.raises(ProcessesError, match="2 processes that train together ended with status 1"):
        run_together(2, "spatialreward.no_such_module", [])
