"""Two processes that tune one judge over gloo, under ZeRO-2 and ZeRO-3."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from safetensors.torch import load_file

import spatialreward
from spatialreward.data.dataset import Dataset
from spatialreward.data.edits import RankedPicture, Ranking
from spatialreward.data.packing.manifest import ShardReport, gather, write_manifest
from spatialreward.data.packing.rankings import RANKINGS
from spatialreward.data.packing.shards import ShardWriter, write_shard
from spatialreward.judges.load import load_judge
from spatialreward.world.building import build_shard
from spatialreward.world.config import DataConfig
from spatialreward.world.shipped import SHIPPED_BASE

ROOT = Path(spatialreward.__file__).parents[1]
SETTINGS = {
    "num_steps": 2,
    "num_generations": 2,
    "perceptual_share": 0.5,
    "rankings": {"share": 0.5},
    "rewards": {"consistency": 0, "order": 1},
    "save_every": 1,
    "optimiser": {"batch_size": 12, "warmup_steps": 1, "learning_rate": 1e-4},
}


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Edits and rankings, of which a step has one beside three single prompts."""
    made, folder = tmp_path_factory.mktemp("made"), tmp_path_factory.mktemp("edits")
    build_shard(DataConfig(seed=21, num_train=9, num_shards=1), "train", 0, made)
    edits = list(Dataset(made))
    shard = write_shard(folder / "edits-00000.parquet", edits)
    with ShardWriter(folder / "rankings-00000.parquet", layout=RANKINGS) as writer:
        for first in range(0, len(edits), 3):
            writer.write(ranking_of(edits[first : first + 3]))
    report = ShardReport(shard=shard, rankings=writer.shard, counts={}, left_out={})
    write_manifest(gather([report], {}), folder)
    return folder


def ranking_of(edits):
    """Edited pictures as if they were of the first one's task."""
    first = edits[0]
    return Ranking(
        id=f"{first.id}/ranking",
        instruction=first.instruction,
        sources=first.sources,
        edits=tuple(RankedPicture(id=edit.id, edited=edit.edited) for edit in edits),
        orders={"overall": (0, 1, 2)},
        fingerprints=(first.fingerprints[0], *(edit.fingerprints[-1] for edit in edits)),
        origin=first.origin,
    )


@pytest.mark.parametrize("deepspeed", ["zero2", "zero3"])
def test_two_processes_tune_one_judge(data, tmp_path, deepspeed):
    out = tmp_path / "judge"
    settings = json.dumps(SETTINGS | {"deepspeed": deepspeed})
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    command += ["--nproc-per-node=2", "--module", "tests.training.grpo_worker"]
    done = subprocess.run(
        [*command, str(data), str(out), settings],
        env=os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=500,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-4000:]
    reports = [json.loads((tmp_path / f"judge.{rank}.json").read_text()) for rank in range(2)]
    assert [step for step, _ in reports[0]] == [1, 2]
    assert reports[1] == []
    # The divergence is 0 before the first update, and there are rewards of both processes.
    assert abs(reports[0][0][1]["kl"]) < 1e-5
    assert 0 <= reports[0][0][1]["reward/order"] <= 1
    start, end = (load_file(one / "model.safetensors") for one in (SHIPPED_BASE, out))
    assert start.keys() == end.keys()
    assert all(weight.numel() == end[name].numel() for name, weight in start.items())
    with load_judge(out) as judge:
        assert judge.identity.protocol.startswith("tiny@")
