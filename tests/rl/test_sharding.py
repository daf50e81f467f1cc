"""Two processes over gloo that divide the optimiser or the base of a small OmniGen2."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from pydantic import ValidationError
from safetensors.torch import load_file

import spatialreward
from spatialreward.editors.lora_files import LORA_FILE
from spatialreward.errors import InvalidInputError
from spatialreward.rl.config import RlConfig
from spatialreward.rl.sharding import divide_base
from spatialreward.world.random_omnigen2 import write_omnigen2
from spatialreward.world.tiny_editor import TinyEditor
from tests.rl.sharded_worker import train

ROOT = Path(spatialreward.__file__).parents[1]
SETTINGS = {
    "num_steps": 2,
    "num_prompts": 2,
    "group_size": 2,
    "groups_at_a_time": 1,
    "save_every": 1,
    "learning_rate": 1e-3,
    "sampling": {"num_denoising_steps": 2, "stochastic_share": 0.5},
    "watch": {"every_steps": 2, "group_size": 2, "num_sheet_rows": 0},
}
FIGURES = ("reward/mean", "policy/gradient_norm", "watch/training_reward")
# The old policy of the one, and the reference of the other, are in the way of divided weights.
CASES = {"zero2": "nft", "zero3": "flow_grpo", "fsdp2": "nft"}


@pytest.fixture(scope="module")
def editor(tmp_path_factory):
    folder = tmp_path_factory.mktemp("editor") / "omnigen2"
    write_omnigen2(folder)
    return folder


@pytest.fixture(scope="module")
def alone(editor, tmp_path_factory):
    """Trains in this process without a break, once; the state behind it and the reports."""
    done = {}

    def trained(algorithm):
        if algorithm not in done:
            out, reports = tmp_path_factory.mktemp("alone") / "out", []
            config = RlConfig.model_validate(SETTINGS | {"algorithm": {"kind": algorithm}})
            state = out.with_name("state.pt")
            train(
                editor,
                out,
                config,
                resume_file=state,
                report=lambda metrics, step: reports.append((step, metrics)),
            )
            done[algorithm] = kept(state), dict(reports)
        return done[algorithm]

    return trained


def kept(state):
    """The trained weights behind the last step, and their average."""
    parts = torch.load(state, weights_only=True)["parts"]
    return parts[0], parts[-2]["weights"]


@pytest.mark.parametrize("sharding", CASES)
def test_two_that_divide_and_stop_in_between_do_what_one_does(editor, alone, tmp_path, sharding):
    algorithm = CASES[sharding]
    settings = SETTINGS | {"algorithm": {"kind": algorithm}, "sharding": sharding}
    out = tmp_path / "out"
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    command += ["--nproc-per-node=2", "--module", "tests.rl.sharded_worker"]
    done = subprocess.run(
        [*command, str(editor), str(out), json.dumps(settings)],
        env=os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=500,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-4000:]
    first, second = (json.loads(Path(f"{out}.{rank}.json").read_text()) for rank in range(2))
    expected, metrics = alone(algorithm)
    [[step, mine]] = [one for one in first["reports"] if "reward/mean" in one[1]]
    assert step == 2
    assert second["reports"] == []
    for name in FIGURES:
        assert mine[name] == pytest.approx(metrics[2][name], rel=1e-3), name
    for mine, theirs in zip(kept(Path(f"{out}.state.pt")), expected, strict=True):
        assert mine.keys() == theirs.keys()
        for name, weight in mine.items():
            assert (weight - theirs[name]).abs().max() < 1e-4, name
            # The second matrices begin at 0.
            assert weight.any(), name
    lora = load_file(out / LORA_FILE)
    assert sum(one.numel() for one in lora.values()) == sum(map(torch.numel, expected[0].values()))
    whole = sum(
        one.numel()
        for one in load_file(next((editor / "transformer").glob("*.safetensors"))).values()
    )
    if sharding == "zero2":
        assert first["held"] == whole
    else:
        assert first["held"] < 0.7 * whole


def test_passes_have_to_be_equally_many_in_all_processes():
    for wrong, reason in (
        ({"groups_at_a_time": 2}, "expected groups_at_a_time 1, got 2"),
        ({"processes": 2, "num_prompts": 3}, "multiple of 2, updates_per_step times processes"),
    ):
        with pytest.raises(ValidationError, match=reason):
            RlConfig.model_validate(SETTINGS | {"sharding": "fsdp2"} | wrong)


def test_an_editor_without_a_frozen_base_has_nothing_to_divide(editor_folder):
    network = TinyEditor.load(editor_folder).network
    with pytest.raises(InvalidInputError, match="trains all of its own; expected zero2"):
        divide_base(network, list(network.parameters()), "fsdp2")
