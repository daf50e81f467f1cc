import pytest

from spatialreward.records import Judgement, JudgementStatus, Scores

SCORES = Scores(editing_success=1, over_editing=2, naturalness=3, artifact_freedom=4)


def test_a_failed_judgement_never_carries_a_score():
    with pytest.raises(ValueError, match="neither scores nor a reward"):
        Judgement(status=JudgementStatus.FAILED, scores=SCORES, reward=0.5, reason="cut off")


def test_a_failure_needs_a_reason():
    with pytest.raises(ValueError, match="has a reason"):
        Judgement(status=JudgementStatus.FAILED)


def test_an_ok_judgement_needs_scores_and_reward():
    with pytest.raises(ValueError, match="has scores and a reward"):
        Judgement(status=JudgementStatus.OK, scores=SCORES)


def test_a_judgement_survives_json():
    judgement = Judgement(status=JudgementStatus.OK, scores=SCORES, reward=0.25)
    assert Judgement.model_validate_json(judgement.model_dump_json()) == judgement
