import math

import pytest
import torch

from spatialreward.training.pairs import compared, head_losses

NAN = math.nan


def test_pairs_are_those_of_one_group_on_what_both_have():
    groups = torch.tensor([0, 1, 0, 0])
    values = torch.tensor([[25.0, NAN], [9.0, 9.0], [25.0, 3.0], [7.0, NAN]])
    pairs = compared(groups, values)
    found = zip(pairs.first_P, pairs.second_P, pairs.dimension_P, pairs.target_P, strict=True)
    assert [tuple(map(float, one)) for one in found] == [
        (0, 2, 0, 0.5),
        (0, 3, 0, 1.0),
        (2, 3, 0, 1.0),
    ]


def test_a_ranks_sign_is_changed_so_the_first_place_is_the_better_one():
    pairs = compared(torch.tensor([4, 4]), torch.tensor([[-1.0, -0.0], [-0.0, -1.0]]))
    assert pairs.target_P.tolist() == [0.0, 1.0]


def test_the_losses_are_those_that_one_computes_by_hand():
    logits = torch.tensor([[2.0, 0.0], [1.0, 0.0]])
    groups, values = torch.tensor([3, 3]), torch.tensor([[25.0, 5.0], [5.0, 5.0]])
    known = torch.tensor([[1.0, NAN], [NAN, 0.5]])
    losses = head_losses(logits, groups, values, known)
    # The first pair differs by one, the second is a tie of equal logits.
    assert float(losses.pairs) == pytest.approx(math.log(1 + math.exp(-1)) + math.log(2))
    assert float(losses.known) == pytest.approx(math.log(1 + math.exp(-2)) + math.log(2))
    assert losses[1] == losses.num_known == 2
    assert (losses.num_right, losses.num_decided) == (1, 1)


def test_a_tie_pulls_logits_together():
    logits = torch.tensor([[2.0, 0.0], [0.0, 0.0]], requires_grad=True)
    losses = head_losses(
        logits, torch.tensor([0, 0]), torch.full((2, 2), 7.0), torch.full((2, 2), NAN)
    )
    losses.pairs.backward()
    assert logits.grad[0, 0] == -logits.grad[1, 0] > 0


def test_without_a_pair_there_is_a_loss_of_nothing_and_a_gradient():
    logits = torch.ones((2, 2), requires_grad=True)
    nothing = torch.full((2, 2), NAN)
    losses = head_losses(logits, torch.tensor([0, 1]), nothing, nothing)
    (losses.pairs + losses.known).backward()
    assert losses.detached()[0::2][:2] == (0.0, 0.0)
    assert logits.grad.tolist() == [[0.0, 0.0], [0.0, 0.0]]


def test_equal_logits_are_not_the_right_order():
    values = torch.tensor([[2.0, NAN], [1.0, NAN]])
    losses = head_losses(torch.zeros(2, 2), torch.tensor([0, 0]), values, torch.full((2, 2), NAN))
    assert (losses.num_right, losses.num_decided) == (0, 1)
