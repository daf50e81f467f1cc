import pytest
from pydantic import ValidationError

from spatialreward.training.config import JudgeTrainingConfig, OptimiserConfig


def training(**change):
    optimiser = OptimiserConfig(batch_size=4)
    return JudgeTrainingConfig(**{"num_samples": 40, "optimiser": optimiser} | change)


def test_an_earlier_checkpoint_is_kept_after_its_share_of_the_steps():
    assert training().earlier_step == 0
    assert training(earlier_share=0.9).earlier_step == 9
    assert JudgeTrainingConfig(earlier_share=0.9).earlier_step == 1080


@pytest.mark.parametrize("change", [{"num_samples": 4}, {"earlier_share": 0.99}])
def test_an_earlier_checkpoint_is_another_one_than_the_last(change):
    with pytest.raises(ValidationError, match="is none of those before the last"):
        training(**{"earlier_share": 0.5} | change)
