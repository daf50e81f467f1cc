import dataclasses
import importlib
import inspect
import sys
import types

import pytest

from spatialreward.client import ServerUnavailable
from spatialreward.errors import InvalidInputError, JudgementError

ADAPTER = "spatialreward.client.adapters.flow_factory"


@dataclasses.dataclass
class RewardModelOutput:
    rewards: object
    extra_info: dict | None = None


class PointwiseRewardModel:
    """What the adapter needs of Flow-Factory's class."""

    def __init__(self, config, accelerator):
        self.config = config
        self.accelerator = accelerator


@dataclasses.dataclass
class RewardArguments:
    extra_kwargs: dict


@pytest.fixture
def adapter(monkeypatch):
    """The adapter, with stand-ins for the framework's two classes."""
    rewards = types.ModuleType("flow_factory.rewards")
    rewards.PointwiseRewardModel = PointwiseRewardModel
    rewards.RewardModelOutput = RewardModelOutput
    monkeypatch.setitem(sys.modules, "flow_factory", types.ModuleType("flow_factory"))
    monkeypatch.setitem(sys.modules, "flow_factory.rewards", rewards)
    monkeypatch.delitem(sys.modules, ADAPTER, raising=False)
    yield importlib.import_module(ADAPTER)
    sys.modules.pop(ADAPTER)


@pytest.fixture
def model(adapter, server):
    options = {"endpoint": server.address, "timeout_s": 20, "attempts": 1, "redraws": 1}
    return adapter.SpatialRewardModel(RewardArguments(options), accelerator=None)


def samples(picture, numbers, instruction="add a circle"):
    return {
        "prompt": [instruction for _ in numbers],
        "image": [picture(number) for number in numbers],
        "condition_images": [[picture(0), picture(1)] for _ in numbers],
    }


def test_samples_are_rewarded_in_order(model, server, picture, numbers_of):
    output = model(**samples(picture, range(20)))
    judgements = output.extra_info["judgements"]
    assert numbers_of(judgements) == list(range(20))
    assert output.rewards == [judgement.reward for judgement in judgements]
    assert sorted(server.sizes) == [4, 16]
    assert server.servicer.requests[0]["SOURCE"].shape[1] == 2


def test_the_framework_hands_over_what_the_model_asks_for(adapter):
    model = adapter.SpatialRewardModel
    assert issubclass(model, PointwiseRewardModel)
    parameters = inspect.signature(model.__call__).parameters
    assert set(model.required_fields) <= set(parameters)
    assert all(one.kind is not inspect.Parameter.VAR_KEYWORD for one in parameters.values())


def test_an_edit_without_a_judgement_stops_the_step(model, picture):
    with pytest.raises(JudgementError, match="2 of 2 edits were not judged"):
        model(**samples(picture, [1, 2], instruction="fail"))


def test_a_server_that_is_away_stops_the_step(model, server, picture):
    server.stop()
    with pytest.raises(ServerUnavailable, match=server.address):
        model(**samples(picture, [1]))


def test_samples_without_condition_pictures_are_an_error(model, picture):
    with pytest.raises(InvalidInputError, match="condition_images"):
        model(prompt=["a"], image=[picture(1)])


@pytest.mark.parametrize(
    ("options", "message"),
    [({}, "endpoint missing"), ({"endpoint": "a:1", "server_url": "b"}, "server_url: no such key")],
)
def test_a_wrong_configuration_is_named(adapter, options, message):
    with pytest.raises(InvalidInputError, match=message):
        adapter.SpatialRewardModel(RewardArguments(options), accelerator=None)
