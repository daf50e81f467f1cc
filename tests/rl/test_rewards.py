"""Rewards of several judges: what they are made of, and what becomes of failures."""

import logging
import math
import threading
import time
from urllib.parse import urlsplit

import pytest
import torch
from PIL import Image

from spatialreward.client.errors import RequestRejected, ServerUnavailable
from spatialreward.edits import Edit
from spatialreward.errors import Failure, InvalidInputError, SpatialRewardError
from spatialreward.records import (
    AnswerForm,
    EditRegion,
    JudgeIdentity,
    Judgement,
    JudgementStatus,
    Scores,
)
from spatialreward.rl.reward_config import PatienceConfig, RewardConfig
from spatialreward.rl.rewards import JudgeChangedError, RewardError, Rewards, total
from spatialreward.rl.types import Scored
from spatialreward.world.config import DataConfig
from spatialreward.world.drawing import draw_samples
from spatialreward.world.labelling import edit_task
from tests.data.teacher.teacher_server import Asked, TeacherServer, says

AWAY = Judgement.failed("worker died", Failure.JUDGE_FAILED)
UNREADABLE = Judgement.failed("no answer in it", Failure.NOT_JSON)
SHORT = PatienceConfig(retry_wait_s=0.01, max_wait_s=0.05)
SCORES = Scores(editing_success=20, over_editing=10, naturalness=15, artifact_freedom=15)


def by(judge="judge/3", reward=0.2, **more):
    more = {"scores": SCORES} | more
    return Judgement(status=JudgementStatus.OK, reward=reward, judged_by=judge, **more)


def edits(count, edited="white"):
    source, after = Image.new("RGB", (20, 10)), Image.new("RGB", (20, 10), edited)
    return [Edit(source, after, "make it light", id=f"e{number}") for number in range(count)]


class Says:
    """A judge that gives or raises what it was set to, call by call; the last one again and again.

    A call is a judgement for all edits, or one a number of edit.
    """

    notice = "a scripted judge"

    def __init__(self, *calls):
        self._calls = list(calls)
        self.asked = []

    def judge(self, edits):
        self.asked.append([edit.id for edit in edits])
        call = self._calls.pop(0) if len(self._calls) > 1 else self._calls[0]
        if isinstance(call, Exception):
            raise call
        if isinstance(call, Judgement):
            return [call] * len(edits)
        return [call[int(edit.id[1:])] for edit in edits]


def rewards(judge, *configs, patience=SHORT):
    return Rewards(configs or [RewardConfig()], patience, judge)


def test_a_failed_judgement_is_nan_in_every_reward_of_its_judge():
    both = rewards(Says([UNREADABLE, by()]), RewardConfig(), RewardConfig(form="consistent"))
    scored = both.score(edits(2))
    assert both.names == tuple(scored.rewards) == ("judge", "judge_consistent")
    for of_B in scored.rewards.values():
        assert of_B.isfinite().tolist() == [False, True]
    assert scored.judgements == [UNREADABLE, by()]


def test_success_counts_only_as_far_as_the_rest_stayed():
    """By hand: SC = 20 * (0.6 + 0.4 * 10 / 25) / 2.5 = 6.08, PQ = 6."""
    written = by()
    soft = by(soft_scores=SCORES.model_copy(update={"over_editing": 25.0}))
    consistent = rewards(Says([written, soft]), RewardConfig(form="consistent"))
    first, second = consistent.score(edits(2)).rewards["judge_consistent"].tolist()
    assert first == pytest.approx((6.08**0.8 * 6**0.2) / 10)
    assert second == pytest.approx((8**0.8 * 6**0.2) / 10)


def test_changes_outside_of_the_regions_cost_their_share_of_the_picture():
    left = EditRegion(id=0, label="left half", bbox_2d=(0, 0, 500, 1000))
    judge = Says([by(regions=(left,)), by()])
    untouched = rewards(judge, RewardConfig(form="untouched"))
    asked = edits(2)
    corner = Image.new("RGB", (4, 5), "red")
    for edit in asked:
        edit.edited.paste((0, 0, 0), (10, 0, 20, 10))
        edit.edited.paste(corner, (16, 5))
    scored = untouched.score(asked).rewards["judge_untouched"]
    assert scored.tolist() == pytest.approx([1 - 20 / 200, 1 - 120 / 200])


def test_a_judge_without_regions_has_no_outside():
    judge = Says(by(answer=AnswerForm.SCORES))
    with pytest.raises(InvalidInputError, match=r"judge_untouched: .* and judge/3 predicts none"):
        rewards(judge, RewardConfig(form="untouched")).score(edits(1))


def test_several_judges_are_asked_at_once_and_one_that_is_named_twice_only_once():
    samples = list(draw_samples(DataConfig(seed=21), "train", 3))
    asked = [Edit.of(edit_task(sample), sample.images()[1]) for sample in samples]
    configs = [
        RewardConfig(judge="oracle", weight=2.0),
        RewardConfig(judge="pixels"),
        RewardConfig(judge="oracle", form="untouched"),
    ]
    with Rewards(configs, SHORT) as several:
        scored = several.score(asked)
        assert several.names == ("oracle", "pixels", "oracle_untouched")
        assert several.weights == {"oracle": 2.0, "pixels": 1.0, "oracle_untouched": 1.0}
        expected = several.card["rewards"]
    assert [one["judged_by"].split("/")[0] for one in expected] == ["oracle", "pixels", "oracle"]
    assert several.card["judged_by"] == scored.judgements[0].judged_by
    by_hand = (
        2 * scored.rewards["oracle"] + scored.rewards["pixels"] + scored.rewards["oracle_untouched"]
    )
    assert torch.allclose(total(scored, several.weights), by_hand)
    with pytest.raises(SpatialRewardError, match="have been closed"):
        several.score(asked)


def test_judges_are_waited_for_at_the_same_time():
    meeting = threading.Barrier(2, timeout=20)

    class Meets(Says):
        def judge(self, edits):
            meeting.wait()
            return super().judge(edits)

    one, other = Meets(by("a")), Meets(by("b"))
    several = Rewards([RewardConfig()], SHORT, one)
    several._judges.append(Rewards([RewardConfig()], SHORT, other)._judges[0])
    several.score(edits(1))
    assert one.asked == other.asked == [["e0"]]


def test_a_reward_that_names_no_judge_needs_that_of_the_run():
    with pytest.raises(InvalidInputError, match="reward judge: judge: expected one, got none"):
        Rewards([RewardConfig()], SHORT)
    with pytest.raises(InvalidInputError, match="rewards: two are called 'pixels'"):
        Rewards([RewardConfig(judge="pixels")] * 2, SHORT)


@pytest.mark.parametrize("later", ["judge/4", "judge/3, weights 1"])
def test_another_judge_stops_the_training_also_one_that_was_resumed(later):
    before = rewards(Says(by("judge/3")))
    before.score(edits(2))
    after = rewards(Says([by("judge/3"), by(later)]))
    after.load_state_dict(before.state_dict())
    after.score(edits(1))
    with pytest.raises(JudgeChangedError, match=f"from {later}; the training began with judge/3;"):
        after.score(edits(2))


@pytest.mark.parametrize(
    "change",
    [
        {"weights": "c" * 64},
        {"weights": "b" * 64 + "+" + "c" * 64},
        {"protocol": "tiny@1"},
        {"aggregation": "min"},
        {"version": "4"},
        {"name": "other"},
    ],
)
def test_whatever_differs_of_a_judge_stops_the_training(change):
    known = JudgeIdentity(
        name="judge", version="3", weights="b" * 64, protocol="tiny@0", aggregation="geometric"
    )
    changed = known.model_copy(update=change)
    held = rewards(Says(by(str(known)), by(str(known)), by(str(changed))))
    for _ in range(2):
        held.score(edits(1))
    with pytest.raises(JudgeChangedError):
        held.score(edits(1))


def test_a_failed_judgement_says_nothing_of_the_judge():
    held = rewards(Says([UNREADABLE, by("judge/3")]))
    held.score(edits(2))
    assert held.card["judged_by"] == "judge/3"


def test_only_what_the_judge_broke_on_is_asked_for_again(caplog):
    caplog.set_level(logging.INFO, "spatialreward")
    judge = Says([AWAY, by(), AWAY, UNREADABLE], by(reward=0.5))
    waiting = rewards(judge, patience=SHORT.model_copy(update={"max_failed_share": 0.25}))
    scored = waiting.score(edits(4)).rewards["judge"].tolist()
    assert scored[:3] == pytest.approx([0.5, 0.2, 0.5])
    assert math.isnan(scored[3])
    assert judge.asked == [["e0", "e1", "e2", "e3"], ["e0", "e2"]]
    assert waiting.seconds_waited >= 0.01
    paused, back = (record.getMessage() for record in caplog.records)
    assert paused.startswith(
        "reward judge: the judge failed on 3 of 4 edits of one step, more than the share of 0.25 "
        "allowed; the first reason: worker died; the training pauses and asks again in 0.01 s"
    )
    assert back.startswith("reward judge: answers again after")


def test_few_failures_are_masked_and_not_waited_for():
    judge = Says([AWAY, by()])
    assert rewards(judge).score(edits(2)).rewards["judge"].isfinite().tolist() == [False, True]
    assert len(judge.asked) == 1


def test_answers_that_cannot_be_read_end_it_at_once():
    judge = Says([UNREADABLE, AWAY, UNREADABLE, by()])
    expected = r"reward judge: .* failed on 3 of 4 edits .* share of 0.25 .* no answer in it$"
    patience = PatienceConfig(max_failed_share=0.25)
    with pytest.raises(RewardError, match=expected):
        rewards(judge, patience=patience).score(edits(4))
    assert len(judge.asked) == 1


def test_a_judge_that_stays_away_ends_it_after_all_waits():
    judge = Says(ServerUnavailable("127.0.0.1:8001: refused"))
    expected = r"reward judge: the judge is away: 127.0.0.1:8001: refused \(waited for"
    with pytest.raises(RewardError, match=expected) as caught:
        rewards(judge).score(edits(1))
    assert isinstance(caught.value.__cause__, ServerUnavailable)
    assert len(judge.asked) >= 3
    at_once = Says(ServerUnavailable("127.0.0.1:8001: refused"))
    with pytest.raises(RewardError, match=r"refused$"):
        rewards(at_once, patience=PatienceConfig(max_wait_s=0)).score(edits(1))
    assert len(at_once.asked) == 1


@pytest.mark.parametrize("final", [RequestRejected("too large"), InvalidInputError("key refused")])
def test_what_waiting_cannot_mend_is_raised_as_it_is(final):
    judge = Says(final)
    with pytest.raises(type(final), match=str(final)):
        rewards(judge).score(edits(1))
    assert len(judge.asked) == 1


def test_closing_ends_the_waiting():
    waiting = rewards(Says(ServerUnavailable("away")), patience=PatienceConfig(retry_wait_s=500))
    caught = []

    def score():
        try:
            waiting.score(edits(1))
        except RewardError as error:
            caught.append(str(error))

    thread = threading.Thread(target=score)
    thread.start()
    while not waiting._judges[0]._judging.asked:
        time.sleep(0.01)
    while thread.is_alive():
        waiting.close()
        thread.join(0.01)
    assert caught == ["reward judge: no longer waited for; the judge is away: away"]


def test_a_judge_that_fails_for_good_keeps_no_other_waiting():
    waits = Says(ServerUnavailable("away"))
    patience = PatienceConfig(retry_wait_s=500, max_wait_s=5000)
    several = Rewards([RewardConfig()], patience, waits)
    several._judges.append(
        Rewards([RewardConfig()], patience, Says(InvalidInputError("key refused")))._judges[0]
    )
    with pytest.raises(InvalidInputError, match="key refused"):
        several.score(edits(1))


SEMANTIC = {"edit_region": [], "reasoning": "<|global|> nothing was done", "score": [5, 20]}
PERCEPTUAL = {"reasoning": "clean", "score": [18, 16]}


def answers(asked: Asked):
    return says(SEMANTIC if len(asked.pictures) == 2 else PERCEPTUAL)


def test_a_server_that_stops_is_waited_for_and_found_again(monkeypatch, tmp_path, caplog):
    monkeypatch.setenv("SSL_CERT_DIR", str(tmp_path))
    caplog.set_level(logging.INFO, "spatialreward")
    server = TeacherServer()
    server.plan = answers
    judge = f"openai:some/vl@{server.url}?max_attempts=1&give_up_after=2"
    patience = PatienceConfig(retry_wait_s=0.05, max_wait_s=60, max_failed_share=0)
    scored = []
    with Rewards([RewardConfig(judge=judge)], patience) as of_server:
        with server.running():
            scored.append(of_server.score(edits(3)))
        thread = threading.Thread(target=lambda: scored.append(of_server.score(edits(3))))
        thread.start()
        while "the training pauses" not in caplog.text:
            time.sleep(0.01)
        again = TeacherServer(urlsplit(server.url).port)
        again.plan = answers
        with again.running():
            thread.join()
    first, second = (one.rewards["openai"] for one in scored)
    assert first.isfinite().all()
    assert torch.equal(first, second)
    assert "reward openai: answers again" in caplog.text


def test_a_server_that_stopped_for_good_ends_it(monkeypatch, tmp_path):
    monkeypatch.setenv("SSL_CERT_DIR", str(tmp_path))
    server = TeacherServer()
    server.plan = answers
    judge = f"openai:some/vl@{server.url}?max_attempts=1&give_up_after=2"
    with Rewards([RewardConfig(judge=judge)], SHORT) as of_server:
        with server.running():
            of_server.score(edits(3))
        with pytest.raises(RewardError, match=r"reward openai: the judge is away: .*got no answer"):
            of_server.score(edits(3))


def test_sums_with_a_missing_reward_are_missing():
    scored = Scored({"a": torch.tensor([1.0, math.nan]), "b": torch.tensor([3.0, 2.0])}, None)
    first, second = total(scored, {"a": 2.0, "b": 0.5}).tolist()
    assert first == 3.5
    assert math.isnan(second)
