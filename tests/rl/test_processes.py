"""Two processes that train one editor over gloo, as torchrun starts them."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

import spatialreward
from spatialreward.world.tiny_editor import TinyEditor

ROOT = Path(spatialreward.__file__).parents[1]
SETTINGS = {
    "num_steps": 2,
    "num_prompts": 4,
    "group_size": 3,
    "groups_at_a_time": 1,
    "updates_per_step": 2,
    "learning_rate": 1e-3,
    "sampling": {
        "num_denoising_steps": 4,
        "window": {"num_steps": 2, "moves": "at_random", "every": 1},
    },
}
MEANS = ("reward/mean", "reward/std_within_group", "policy/kl", "policy/gradient_norm")


def run(editor, out, processes, *failing, settings=SETTINGS):
    command = [sys.executable, "-m", "tests.rl.worker"]
    if processes > 1:
        command = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
        command += [f"--nproc-per-node={processes}", "--module", "tests.rl.worker"]
    return subprocess.run(
        [*command, str(editor), str(out), json.dumps(settings), *failing],
        env=os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=500,
        check=False,
    )


def reports(out, rank=0):
    return json.loads(Path(f"{out}.{rank}.json").read_text())


@pytest.mark.parametrize("algorithm", ["flow_grpo", "nft"])
def test_two_processes_do_what_one_does_with_all_prompts(editor_folder, tmp_path, algorithm):
    settings = SETTINGS | {"algorithm": {"kind": algorithm}}
    alone, together = tmp_path / "alone", tmp_path / "together"
    for out, count in ((alone, 1), (together, 2)):
        done = run(editor_folder, out, count, settings=settings)
        assert done.returncode == 0, done.stderr[-4000:]
    assert [step for step, _ in reports(together)] == [1, 2]
    assert reports(together, rank=1) == []
    for (_, mine), (_, theirs) in zip(reports(together), reports(alone), strict=True):
        for name in MEANS:
            assert mine[name] == pytest.approx(theirs[name], rel=1e-3, abs=1e-7), name
        assert mine["reward/num_judged"] == theirs["reward/num_judged"] == 12
    expected = TinyEditor.load(alone).network.state_dict()
    start = TinyEditor.load(editor_folder).network.state_dict()
    moved = 0
    for name, weight in TinyEditor.load(together).network.state_dict().items():
        assert (weight - expected[name]).abs().max() < 1e-4, name
        moved += int(not torch.equal(weight, start[name]))
    assert moved > 10
    card = json.loads((together / "card.json").read_text())
    assert card["training_processes"] == 2


def test_a_process_whose_judge_fails_stops_them_all_with_the_state(editor_folder, tmp_path):
    out = tmp_path / "out"
    done = run(editor_folder, out, 2, "1")
    assert done.returncode != 0
    assert "process 1 of 2 failed: RewardError" in done.stderr
    assert not out.exists()
    kept = torch.load(f"{out}.state.pt", weights_only=True)
    assert kept["step"] == 0
    # The training goes on when the judge is back, from where it was.
    done = run(editor_folder, out, 2)
    assert done.returncode == 0, done.stderr[-4000:]
    assert [step for step, _ in reports(out)] == [1, 2]
