"""Two processes that train one model over gloo, as torchrun starts them in a TrainJob."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

import spatialreward
from spatialreward.errors import InvalidInputError
from spatialreward.training.ranks import ALONE, Ranks, joined
from tests.training.ranks_worker import NUM_STEPS, base, first_step

ROOT = Path(spatialreward.__file__).parents[1]
WORKER = Path(__file__).with_name("ranks_worker.py")


@pytest.fixture(scope="module")
def both(tmp_path_factory):
    """What the two processes saved."""
    out = tmp_path_factory.mktemp("ranks")
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    done = subprocess.run(
        [*command, str(WORKER), str(out)],
        env=os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return [torch.load(out / f"rank{rank}.pt", weights_only=False) for rank in range(2)]


def test_gradients_are_averaged_so_that_both_have_the_same_weights(both):
    first, second = (result["weights"] for result in both)
    for name, weights in first.items():
        assert torch.equal(weights, second[name]), name


def test_together_they_find_the_gradients_and_the_loss_of_one_process_with_the_whole_batch(both):
    gradients, [(_, metrics)] = both[0]["first_step"]
    gradients_alone, [(_, metrics_alone)] = first_step()
    assert gradients.keys() == gradients_alone.keys()
    # A weight's own gradient may be rounding alone, so the measure is that of all of them.
    norm = torch.stack([one.norm() for one in gradients_alone.values()]).norm()
    for name, alone in gradients_alone.items():
        assert (gradients[name] - alone).norm() < 1e-4 * norm, name
    assert metrics["loss/semantic"] == pytest.approx(metrics_alone["loss/semantic"], rel=1e-4)


def test_they_have_moved_from_where_they_began(both):
    start = base()[0].state_dict()
    assert any(not torch.equal(start[name], both[0]["weights"][name]) for name in start)


def test_the_first_alone_reports_and_once(both):
    assert [step for step, _ in both[0]["reports"]] == [NUM_STEPS]
    assert not both[1]["reports"]


def test_a_killed_training_goes_on_in_both_from_the_state_of_the_first(both):
    for result in both:
        for name, weights in result["weights"].items():
            assert torch.equal(weights, result["resumed"][name]), name


def test_what_the_first_says_and_the_sum_of_all_reach_both(both):
    assert [result["told"] for result in both] == ["by 0", "by 0"]
    assert [result["total"] for result in both] == [3, 3]


def test_a_batch_is_divided_without_a_sample_twice_or_left_out():
    parts = [Ranks(rank, 3).part_of([0, 1, 2, 3, 4, 5]) for rank in range(3)]
    assert parts == [[0, 3], [1, 4], [2, 5]]


def test_a_batch_that_cannot_be_divided_is_refused():
    Ranks(0, 8).check(24)
    with pytest.raises(InvalidInputError, match=r"^batch_size 24: cannot .* among 5 processes"):
        Ranks(0, 5).check(24)


def test_a_process_that_nobody_started_is_alone(monkeypatch):
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    with joined() as ranks:
        assert ranks is ALONE
        assert ranks.is_first
        assert ranks.total(2.5) == 2.5
        assert ranks.from_first("mine") == "mine"
