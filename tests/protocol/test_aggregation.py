import pytest
from hypothesis import given
from hypothesis import strategies as st

from spatialreward.protocol.aggregation import Aggregation
from spatialreward.records import Scores

score = st.floats(0, 25)
scores = st.builds(
    Scores, editing_success=score, over_editing=score, naturalness=score, artifact_freedom=score
)


def test_paper_weights_by_hand():
    given_scores = Scores(editing_success=20, over_editing=10, naturalness=15, artifact_freedom=5)
    # SC = (0.6 * 20 + 0.4 * 10) / 2.5 = 6.4, PQ = (0.5 * 15 + 0.5 * 5) / 2.5 = 4
    assert Aggregation().overall(given_scores) == pytest.approx(6.4**0.8 * 4**0.2)
    assert Aggregation().reward(given_scores) == pytest.approx(6.4**0.8 * 4**0.2 / 10)


def test_the_min_form_by_hand():
    given_scores = Scores(editing_success=20, over_editing=10, naturalness=15, artifact_freedom=5)
    smallest = Aggregation(form="min")
    assert smallest.overall(given_scores) == pytest.approx(50**0.5 / 2.5)
    semantic = Scores(editing_success=20, over_editing=10)
    assert smallest.reward(semantic) == pytest.approx(0.4)


@given(scores)
def test_reward_stays_in_the_unit_interval(given_scores: Scores):
    assert 0.0 <= Aggregation().reward(given_scores) <= 1.0


@given(scores)
def test_a_failed_edit_cannot_be_saved_by_a_pretty_picture(given_scores: Scores):
    failed = given_scores.model_copy(update={"editing_success": 0.0, "over_editing": 0.0})
    assert Aggregation().reward(failed) == 0.0


def test_weights_must_sum_to_one():
    with pytest.raises(ValueError, match="editing_success \\+ over_editing"):
        Aggregation(editing_success=0.9, over_editing=0.4)
