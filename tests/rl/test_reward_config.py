import pytest
from pydantic import ValidationError

from spatialreward.rl.reward_config import RewardConfig, RewardsConfig


@pytest.mark.parametrize(
    ("given", "label"),
    [
        ({}, "judge"),
        ({"judge": "oracle", "form": "consistent"}, "oracle_consistent"),
        ({"judge": "triton:gpu-1:8001"}, "triton"),
        ({"judge": "openai:some/vl-8b@https://host/v1?temperature=0.7"}, "openai"),
        ({"judge": "models:/spatial-reward@champion", "form": "untouched"}, "models_untouched"),
        ({"judge": "runs/my judge", "name": ""}, "my-judge"),
        ({"judge": "oracle", "name": "truth"}, "truth"),
    ],
)
def test_a_reward_is_called_after_its_judge_and_form_unless_it_has_a_name(given, label):
    assert RewardConfig(**given).label == label


def test_two_rewards_of_one_name_are_refused():
    twice = [{"judge": "oracle"}, {"judge": "oracle", "weight": 0.5}]
    for field in ("rewards", "evaluation_rewards"):
        with pytest.raises(ValidationError, match=f"{field}: two are called 'oracle'; give each a"):
            RewardsConfig.model_validate({field: twice})
    RewardsConfig.model_validate({"rewards": twice[:1], "evaluation_rewards": twice[:1]})


@pytest.mark.parametrize(
    ("given", "complaint"),
    [
        ({"weight": 0}, "weight\n  Input should be greater than 0"),
        ({"weight": float("inf")}, "weight\n  Input should be a finite number"),
        ({"form": "best"}, "Input should be 'reward', 'consistent' or 'untouched'"),
        ({"name": "my reward"}, "String should match pattern"),
        ({"protocol": "tiny"}, "protocol: goes with a judge that is named here"),
        ({"passes": 3}, "passes: goes with a judge that is named here"),
    ],
)
def test_settings_that_are_none_are_refused(given, complaint):
    with pytest.raises(ValidationError, match=complaint):
        RewardConfig(**given)


def test_a_training_has_one_reward_at_least():
    assert RewardsConfig().rewards == (RewardConfig(),)
    with pytest.raises(ValidationError, match="at least 1 item"):
        RewardsConfig(rewards=())
