import asyncio
import inspect

import pytest

from spatialreward.client import AsyncTritonJudge, ServerUnavailable, TritonJudge
from spatialreward.client.adapters.trl import Columns, async_trl_reward, trl_reward
from spatialreward.errors import InvalidInputError


@pytest.fixture
def judge(server):
    with TritonJudge(server.address, attempts=1) as judge:
        yield judge


def called_by_the_trainer(function, rows, completions):
    """The arguments of TRL's trainer: columns as lists, and its own."""
    logged = {}
    rewards = function(
        prompts=["edit it" for _ in completions],
        completions=completions,
        completion_ids=[[1, 2] for _ in completions],
        trainer_state=object(),
        log_extra=lambda column, values: None,
        log_metric=logged.__setitem__,
        **rows,
    )
    return rewards, logged


def test_edits_in_columns_are_rewarded(judge, picture):
    rows = {
        "source": [picture(0), [picture(0), picture(1)]],
        "instruction": ["a", "b"],
        "edited": [picture(5), picture(6)],
    }
    rewards, logged = called_by_the_trainer(trl_reward(judge), rows, ["x", "y"])
    assert rewards == [5 / 65_536, 6 / 65_536]
    assert logged == {"spatialreward/without_reward": 0.0}


def test_completions_may_be_drawn(judge, picture):
    columns = Columns(source="image", instruction="request")
    function = trl_reward(judge, columns, lambda text, row: picture(int(text) + row["offset"]))
    rows = {"image": [picture(0)] * 2, "request": ["a", "a"], "offset": [10, 20]}
    rewards, _ = called_by_the_trainer(function, rows, ["1", "2"])
    assert rewards == [11 / 65_536, 22 / 65_536]


def test_what_is_not_there_or_cannot_be_judged_has_no_reward(judge, server, picture):
    rows = {
        "source": [picture(0), picture(0), None],
        "instruction": ["a", "fail", "a"],
        "edited": [None, picture(2), picture(3)],
    }
    rewards, logged = called_by_the_trainer(trl_reward(judge), rows, ["x", "y", "z"])
    assert rewards == [None, None, None]
    assert logged == {"spatialreward/without_reward": 1.0}
    assert server.sizes == [1]


def test_a_row_that_is_no_edit_has_no_reward_and_is_named(judge, server, picture, caplog):
    rows = {
        "source": [picture(0), picture(0), []],
        "instruction": ["a", " ", "a"],
        "edited": [picture(5), picture(2), picture(3)],
    }
    rewards, _ = called_by_the_trainer(trl_reward(judge), rows, ["x", "y", "z"])
    assert rewards == [5 / 65_536, None, None]
    assert server.sizes == [1]
    assert "completion 1 has no reward: instruction: is empty" in caplog.text
    assert "completion 2 has no reward: source: expected one picture" in caplog.text


def test_a_server_that_is_away_stops_the_training(judge, server, picture):
    server.stop()
    rows = {"source": [picture(0)], "instruction": ["a"], "edited": [picture(1)]}
    with pytest.raises(ServerUnavailable, match=server.address):
        called_by_the_trainer(trl_reward(judge), rows, ["x"])


def test_a_column_that_is_not_there_is_named(judge, picture):
    with pytest.raises(InvalidInputError, match=r"\['edited'\] missing"):
        called_by_the_trainer(
            trl_reward(judge), {"source": [picture(0)], "instruction": ["a"]}, ["x"]
        )


def test_the_asynchronous_function_is_one_and_rewards_alike(server, picture):
    rows = {"source": [picture(0)], "instruction": ["a"], "edited": [picture(5)]}

    async def ask():
        async with AsyncTritonJudge(server.address) as judge:
            function = async_trl_reward(judge, name="edits")
            assert inspect.iscoroutinefunction(function)
            assert function.__name__ == "edits"
            rewards, logged = called_by_the_trainer(function, rows, ["x"])
            return await rewards, logged

    assert asyncio.run(ask()) == ([5 / 65_536], {"edits/without_reward": 0.0})


def test_a_function_has_the_name_that_metrics_show(judge):
    assert trl_reward(judge).__name__ == "spatialreward"
    assert not inspect.iscoroutinefunction(trl_reward(judge))
