import pytest

from spatialreward.records import JudgeIdentity, Judgement, JudgementStatus, Scores

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


def test_an_identity_is_one_line_with_the_beginning_of_each_digest():
    whole = JudgeIdentity(
        name="judge",
        version="3",
        weights="0123456789abcdef" * 4 + "+" + "f" * 64,
        protocol="tiny@0a1b2c3d4e5f",
        aggregation="geometric",
    )
    line = "judge/3, weights 0123456789ab+ffffffffffff, protocol tiny@0a1b2c3d4e5f, geometric"
    assert str(whole) == line
    assert JudgeIdentity.name_in(line) == "judge/3"


def test_an_identity_leaves_out_what_is_not_known():
    assert str(JudgeIdentity(name="folder")) == JudgeIdentity.name_in("folder") == "folder"
    assert str(JudgeIdentity(name="pixels", version="1", aggregation="min")) == "pixels/1, min"
