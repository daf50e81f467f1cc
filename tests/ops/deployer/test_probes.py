import pytest

from spatialreward.client import DeadlineExceeded, ServerBusy
from spatialreward.errors import Failure
from spatialreward.ops.deployer.config import TrialBounds
from spatialreward.ops.deployer.probes import ServedTooBusy, Trial, _ask_served, _trial
from spatialreward.records import Judgement, JudgementStatus, Scores

SCORES = Scores(editing_success=1, over_editing=2)
SAME = Trial(0.0, 0.0, 0.1, 0.1, 1.0, 0.0)


def judged(*rewards):
    return [
        Judgement.failed("answer is not JSON", Failure.NOT_JSON)
        if reward is None
        else Judgement(status=JudgementStatus.OK, scores=SCORES, reward=reward)
        for reward in rewards
    ]


def trial_of(old, new):
    took = [0.1] * len(old)
    return _trial(judged(*old), judged(*new), took, took)


def test_two_versions_are_compared_where_both_have_judged():
    trial = trial_of([0.1, 0.2, 0.3, None], [0.2, 0.3, 0.4, 0.9])
    assert trial.failed_share_old == 0.25
    assert trial.failed_share_new == 0
    assert trial.rank_correlation == pytest.approx(1)
    assert trial.reward_difference == pytest.approx(0.1)
    turned = trial_of([0.1, 0.2, 0.3], [0.3, 0.2, 0.1])
    assert turned.rank_correlation == pytest.approx(-1)


def test_ranks_say_nothing_of_two_edits_or_of_a_version_that_tells_none_apart():
    assert trial_of([0.1, 0.2], [0.2, 0.1]).rank_correlation is None
    assert trial_of([0.5] * 3, [0.1, 0.2, 0.3]).rank_correlation is None
    assert trial_of([0.1, 0.2, 0.3], [0.5] * 3).rank_correlation == 0
    assert trial_of([None], [0.5]).reward_difference is None


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"failed_share_new": 0.5}, "it fails on 50% of the probe edits, the served version on 0%"),
        ({"latency_new_s": 0.4}, "a judgement takes 0.400 s, allowed are 0.250 s"),
        ({"rank_correlation": 0.2}, "correlation 0.20, at least 0.50 expected"),
        ({"reward_difference": 0.3}, "its rewards differ by 0.300 on average, allowed are 0.250"),
    ],
)
def test_each_bound_that_is_broken_is_named(change, complaint):
    assert SAME.complaints(TrialBounds()) == []
    (told,) = SAME._replace(**change).complaints(TrialBounds())
    assert complaint in told


@pytest.mark.parametrize("error", [ServerBusy("full", 1.0), DeadlineExceeded("after 120 s")])
def test_a_served_version_that_is_busy_is_no_reason_to_switch_without_a_look(error):
    class Served:
        def judge(self, edits):
            raise error

    with pytest.raises(ServedTooBusy, match=f"too busy to be compared with: {error}"):
        _ask_served(Served(), None)


def test_a_failure_that_both_share_is_nobodys_fault():
    both = SAME._replace(failed_share_old=0.5, failed_share_new=0.5)
    assert both.complaints(TrialBounds()) == []
