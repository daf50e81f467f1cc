import pytest
import torch
from torch import nn

from spatialreward.errors import InvalidInputError
from spatialreward.rl.weights import MovingAverage, Shadow, TrainedWeights


@pytest.fixture
def module():
    module = nn.Sequential(nn.Linear(2, 2, bias=False), nn.Linear(2, 1, bias=False))
    module[0].requires_grad_(False)
    nn.init.constant_(module[1].weight, 1.0)
    return module


def test_only_what_requires_a_gradient_is_trained_and_kept(module):
    weights = TrainedWeights(module)
    assert list(weights.state_dict()) == ["1.weight"]
    with pytest.raises(InvalidInputError, match="no weights to train; put a LoRA on it"):
        TrainedWeights(module.requires_grad_(False))


def test_state_of_other_weights_is_refused(module):
    with pytest.raises(InvalidInputError, match=r"0\.weight"):
        TrainedWeights(module).load_state_dict(module.state_dict())


def test_a_shadow_follows_and_can_take_the_weights_place(module):
    weights = TrainedWeights(module)
    shadow = Shadow(weights)
    with torch.no_grad():
        module[1].weight.fill_(3.0)
    shadow.follow(0.25)
    with shadow.in_place():
        assert module[1].weight.tolist() == [[2.5, 2.5]]
        assert not module(torch.ones(1, 2)).requires_grad
    assert module[1].weight.tolist() == [[3, 3]]
    again = Shadow(weights)
    again.load_state_dict(shadow.state_dict())
    with again.in_place():
        assert module[1].weight.tolist() == [[2.5, 2.5]]


def test_a_graph_made_before_keeps_what_it_saw(module):
    shadow = Shadow(TrainedWeights(module))
    with torch.no_grad():
        module[1].weight.fill_(3.0)
    hidden = torch.ones(1, 2, requires_grad=True)
    out = module[1](hidden)
    with shadow.in_place():
        module[1](hidden)
    out.sum().backward()
    assert hidden.grad.tolist() == [[3, 3]]


def test_an_average_forgets_its_beginning(module):
    average = MovingAverage(TrainedWeights(module), 0.9)
    with torch.no_grad():
        module[1].weight.fill_(12.0)
    average.update()
    with average.in_place():
        assert module[1].weight[0, 0] == pytest.approx(1 * 2 / 11 + 12 * 9 / 11)
    again = MovingAverage(TrainedWeights(module), 0.9)
    again.load_state_dict(average.state_dict())
    for one in (average, again):
        one.update()
    with average.in_place():
        first = module[1].weight[0, 0].item()
    with again.in_place():
        assert module[1].weight[0, 0].item() == first
