import math

import pytest
import torch

from spatialreward.editors.sampling import Transition
from spatialreward.rl.objective import clipped_objective, divergence, normalise_by_group

NAN = float("nan")


def test_an_edit_is_compared_with_its_siblings_only():
    rewards_PG = torch.tensor([[1.0, 3.0], [10.0, 10.0]])
    advantages = normalise_by_group(rewards_PG)
    assert advantages[0].tolist() == pytest.approx([-1 / math.sqrt(2), 1 / math.sqrt(2)], abs=1e-3)
    assert advantages[1].tolist() == [0.0, 0.0]


def test_a_failed_judgement_is_left_out_of_its_group():
    with_failure = normalise_by_group(torch.tensor([[0.2, NAN, 0.4, 0.9]]))
    without = normalise_by_group(torch.tensor([[0.2, 0.4, 0.9]]))
    assert with_failure[0, 1] == 0
    assert with_failure[0, [0, 2, 3]].tolist() == without[0].tolist()


def test_a_group_with_one_judgement_teaches_nothing():
    assert normalise_by_group(torch.tensor([[0.7, NAN], [NAN, NAN]])).tolist() == [[0, 0], [0, 0]]


def test_an_advantage_is_at_most_five_deviations():
    rewards = torch.zeros(1, 100)
    rewards[0, 0] = 1
    assert normalise_by_group(rewards)[0, 0] == 5


def test_a_ratio_past_the_clip_range_earns_no_more():
    old = torch.zeros(4)
    new = torch.log(torch.tensor([1.5, 1.05, 0.5, 0.5]))
    advantages = torch.tensor([2.0, 2.0, 2.0, -2.0])
    gained = clipped_objective(new, old, advantages, clip_range=0.1)
    assert gained.tolist() == pytest.approx([2.2, 2.1, 1.0, -1.8])


def test_divergence_of_gaussians_one_deviation_apart_is_a_half():
    step = Transition(torch.full((2, 1, 2, 2), 3.0), 2.0)
    assert divergence(step, Transition(torch.full((2, 1, 2, 2), 1.0), 2.0)).tolist() == [0.5, 0.5]
