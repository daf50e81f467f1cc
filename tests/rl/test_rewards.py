import math

import pytest
from PIL import Image

from spatialreward.edits import EditTask
from spatialreward.errors import Failure
from spatialreward.records import JudgeIdentity, Judgement, JudgementStatus, Scores
from spatialreward.rl.rewards import JudgeChangedError, PinnedReward, RewardError

FAILED = Judgement.failed("cannot see", Failure.NOT_JSON)
SCORES = Scores(editing_success=5, over_editing=5, naturalness=5, artifact_freedom=5)
PICTURE = Image.new("RGB", (4, 4))
OTHER = Image.new("RGB", (2, 2))


def by(judge):
    return Judgement(status=JudgementStatus.OK, scores=SCORES, reward=0.2, judged_by=judge)


class Says:
    """A judge whose next judgements can be set."""

    notice = ""

    def judge(self, edits):
        assert len(edits) == len(self.judgements)
        assert all(edit.sources == (PICTURE, OTHER) for edit in edits)
        return self.judgements


def score(reward, *judgements):
    reward._judging.judgements = judgements
    tasks = [EditTask([PICTURE, OTHER], "make it red")] * len(judgements)
    return reward.score(tasks, [PICTURE] * len(judgements)).tolist()


def test_a_failed_judgement_is_no_reward_and_says_nothing_of_the_judge():
    reward = PinnedReward(Says(), 0.5)
    first, second = score(reward, FAILED, by("judge/3"))
    assert math.isnan(first)
    assert second == pytest.approx(0.2)
    assert reward.judged_by == "judge/3"


@pytest.mark.parametrize("later", [(by("judge/4"),), (by("judge/3"), by("judge/4"))])
def test_another_judge_stops_the_training(later):
    reward = PinnedReward(Says(), 0.5)
    score(reward, by("judge/3"), by("judge/3"))
    told = r"^rewards come from judge/4; the training began with judge/3; serve that one again"
    with pytest.raises(JudgeChangedError, match=told):
        score(reward, *later)


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
    reward = PinnedReward(Says(), 0.5)
    assert score(reward, by(str(known))) == score(reward, by(str(known)))
    with pytest.raises(JudgeChangedError):
        score(reward, by(str(known.model_copy(update=change))))


def test_a_resumed_training_holds_to_its_judge():
    before, after = PinnedReward(Says(), 0.5), PinnedReward(Says(), 0.5)
    score(before, by("judge/3"))
    after.load_state_dict(before.state_dict())
    score(after, by("judge/3"))
    with pytest.raises(JudgeChangedError, match="judge/4"):
        score(after, by("judge/4"))


def test_too_many_failures_are_told_with_their_reason():
    with pytest.raises(RewardError, match=r"failed on 2 of 3 edits .* cannot see"):
        score(PinnedReward(Says(), 0.5), FAILED, by("judge/3"), FAILED)
