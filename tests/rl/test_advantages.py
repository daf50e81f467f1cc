import math

import numpy as np
import pytest
import torch

from spatialreward.rl.advantages import Comparison, compare

NAN = float("nan")


def test_an_edit_is_compared_with_its_siblings_only():
    rewards_PG = torch.tensor([[1.0, 3.0], [10.0, 10.0]])
    compared = compare(rewards_PG)
    expected = [-1 / math.sqrt(2), 1 / math.sqrt(2)]
    assert compared.advantages_PG[0].tolist() == pytest.approx(expected, abs=1e-3)
    assert compared.advantages_PG[1].tolist() == [0.0, 0.0]
    assert compared.has_spread_P.tolist() == [True, False]
    assert compared.counts_PG.tolist() == [[True, True], [False, False]]


def test_advantages_are_those_of_numpy():
    rewards = np.random.default_rng(0).random((5, 7))
    mean, deviation = rewards.mean(1, keepdims=True), rewards.std(1, ddof=1, keepdims=True)
    expected = ((rewards - mean) / (deviation + 1e-4)).clip(-5, 5)
    assert np.allclose(compare(torch.tensor(rewards)).advantages_PG, expected)


def test_a_failed_judgement_is_left_out_of_its_group():
    with_failure = compare(torch.tensor([[0.2, NAN, 0.4, 0.9]]))
    without = compare(torch.tensor([[0.2, 0.4, 0.9]]))
    assert with_failure.advantages_PG[0, 1] == 0
    assert with_failure.counts_PG.tolist() == [[True, False, True, True]]
    expected = without.advantages_PG[0].tolist()
    assert with_failure.advantages_PG[0, [0, 2, 3]].tolist() == expected


def test_a_group_with_one_judgement_teaches_nothing():
    compared = compare(torch.tensor([[0.7, NAN], [NAN, NAN]]))
    assert compared.advantages_PG.tolist() == [[0, 0], [0, 0]]
    assert not compared.counts_PG.any()


def test_the_noise_of_equal_rewards_is_not_blown_up():
    rewards = 0.5 + 1e-6 * torch.randn(3, 8, generator=torch.Generator().manual_seed(1))
    assert not compare(rewards).has_spread_P.any()
    assert not compare(torch.full((1, 6), 0.1), min_spread=0.0).has_spread_P.any()


def test_an_advantage_is_at_most_five_deviations():
    rewards = torch.zeros(1, 100)
    rewards[0, 0] = 1
    assert compare(rewards).advantages_PG[0, 0] == 5


REWARDS = {
    "judge": torch.tensor([[0.2, 0.4, 0.9, NAN], [0.5, 0.5, 0.5, 0.5]]),
    "pixels": torch.tensor([[0.01, 0.03, 0.02, 0.02], [0.01, 0.02, 0.03, NAN]]),
}
WEIGHTS = {"judge": 2.0, "pixels": 1.0}


def test_rewards_are_summed_before_they_are_compared():
    compared = Comparison(WEIGHTS)(REWARDS)
    expected = compare(2 * REWARDS["judge"] + REWARDS["pixels"])
    assert torch.equal(compared.advantages_PG, expected.advantages_PG)
    assert compared.counts_PG.tolist() == [[True, True, True, False]] * 2


def test_or_each_is_compared_by_itself_and_then_they_are_added():
    compared = Comparison(WEIGHTS, "each")(REWARDS)
    judge, pixels = (compare(one).advantages_PG for one in REWARDS.values())
    assert torch.allclose(compared.advantages_PG, 2 * judge + pixels)
    # An edit counts that one of them was given for, in a group in which that one has spread.
    assert compared.counts_PG.tolist() == [[True] * 4, [True, True, True, False]]
    assert compared.has_spread_P.tolist() == [True, True]
    # The one of little spread says as much as the other, by its weight.
    alone = Comparison({"judge": 1.0, "pixels": 1.0}, "each")(REWARDS)
    assert alone.advantages_PG[1].tolist() == pixels[1].tolist()
