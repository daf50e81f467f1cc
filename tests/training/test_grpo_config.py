import pytest

from spatialreward.errors import InvalidInputError
from spatialreward.protocol.prompts import FULL, FULL_REASONING, FULL_SCORES
from spatialreward.records import AnswerForm
from spatialreward.training.grpo_config import GrpoConfig, RewardWeights


def test_a_reward_for_what_a_judge_does_not_write_is_refused():
    config = GrpoConfig(rewards=RewardWeights(iou=1, consistency=0))
    config.check_protocol(FULL)
    with pytest.raises(InvalidInputError, match=r"rewards\.iou: the answers of .*full-reasoning"):
        config.check_protocol(FULL_REASONING)
    GrpoConfig(rewards=RewardWeights(iou=0, consistency=1)).check_protocol(FULL_REASONING)
    with pytest.raises(InvalidInputError, match=r"rewards\.consistency: .* form scores"):
        GrpoConfig(rewards=RewardWeights(iou=0, consistency=1)).check_protocol(FULL_SCORES)


def test_a_judge_that_writes_nothing_cannot_be_tuned():
    silent = FULL.model_copy(update={"name": "full-none", "answer": AnswerForm.NONE})
    config = GrpoConfig(rewards=RewardWeights(iou=0, consistency=0, agreement=1))
    with pytest.raises(InvalidInputError, match="protocol full-none: GRPO needs a judge that"):
        config.check_protocol(silent)
