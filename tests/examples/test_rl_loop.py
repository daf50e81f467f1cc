import numpy as np
import pytest

from examples.rl_loop import (
    Settings,
    TooManyFailures,
    ask,
    group_advantages,
    rewards_of,
    train,
)
from spatialreward import (
    Judgement,
    JudgementStatus,
    Scores,
    ServerBusy,
    ServerUnavailable,
    load_judge,
)
from spatialreward.errors import Failure

NAN = float("nan")
FAILED = Judgement.failed("answer is not JSON", Failure.NOT_JSON)


def judged(reward):
    scores = Scores(naturalness=25, artifact_freedom=25)
    return Judgement(status=JudgementStatus.OK, scores=scores, reward=reward)


class Occupied:
    """Refuses as often as told before it judges."""

    def __init__(self, *errors):
        self.errors = list(errors)

    def judge(self, edits):
        if self.errors:
            raise self.errors.pop(0)
        return [judged(0.5) for _ in edits]


@pytest.fixture
def slept(monkeypatch):
    waits = []
    monkeypatch.setattr("examples.rl_loop.time.sleep", waits.append)
    return waits


def test_an_advantage_is_against_the_own_group_without_what_failed():
    advantages_PG = group_advantages(
        np.array([[1.0, 3.0, NAN], [10.0, 10.0, 10.0], [NAN, 5.0, NAN], [NAN] * 3]), eps=0.0001
    )
    assert advantages_PG[0] == pytest.approx([-1.0, 1.0, 0.0], abs=1e-3)
    assert advantages_PG[1:].tolist() == [[0.0] * 3] * 3


def test_a_failed_judgement_has_no_reward():
    rewards = rewards_of([judged(0.25), FAILED, judged(0.0)], max_failed_share=0.5)
    assert np.array_equal(rewards, [0.25, NAN, 0.0], equal_nan=True)


def test_too_many_failures_end_the_run_with_a_reason():
    with pytest.raises(TooManyFailures, match="2 of 3 edits failed: answer is not JSON"):
        rewards_of([judged(0.25), FAILED, FAILED], max_failed_share=0.5)


def test_a_server_that_is_busy_or_away_is_waited_for(slept):
    judge = Occupied(ServerBusy("full", 2.5), ServerUnavailable("away"), ServerBusy("full", 0.0))
    assert ask(judge, [None], patience_s=60) == [judged(0.5)]
    assert slept == [2.5, 1.0, 1.0]


def test_patience_ends(slept):
    with pytest.raises(ServerBusy, match="full"):
        ask(Occupied(ServerBusy("full", 61.0)), [None], patience_s=60)
    assert slept == []


def test_an_error_that_waiting_does_not_help_is_raised_at_once(slept):
    with pytest.raises(ValueError, match="wrong"):
        ask(Occupied(ValueError("wrong")), [None], patience_s=60)
    assert slept == []


def test_the_editor_learns_to_do_something_from_pixels():
    with load_judge("pixels") as judge:
        learnt = train(judge, Settings(steps=10))
    assert sum(learnt.values()) == pytest.approx(1.0)
    assert learnt["untouched"] < 0.5 / 6


@pytest.mark.parametrize("where", ["here", "served"])
def test_the_loop_runs_against_a_model_of_which_edits_may_fail(where, judge_folder, request):
    name = str(judge_folder)
    if where == "served":
        name = f"triton:{request.getfixturevalue('served').endpoint}"
    settings = Settings(steps=1, prompts=2, group_size=3, max_failed_share=1.0)
    with load_judge(name) as judge:
        learnt = train(judge, settings)
    assert sum(learnt.values()) == pytest.approx(1.0)
