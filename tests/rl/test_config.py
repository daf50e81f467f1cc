import pytest
from pydantic import ValidationError

from spatialreward.editors.config import SamplingConfig
from spatialreward.rl.algorithms.config import (
    AwmSettings,
    FlowDppoSettings,
    FlowGrpoSettings,
    GuardSettings,
    NftSettings,
)
from spatialreward.rl.config import RlConfig


def test_deterministic_steps_cannot_be_trained_on():
    without = SamplingConfig(eta=0.0)
    for settings in (FlowGrpoSettings(), GuardSettings(), FlowDppoSettings()):
        with pytest.raises(ValidationError, match="eta: expected more than 0: deterministic steps"):
            RlConfig(algorithm=settings, sampling=without)
    assert RlConfig(sampling=SamplingConfig(eta=0.1)).sampling.eta == 0.1


def test_finished_edits_can_be_trained_on_whatever_drew_them():
    for settings in (NftSettings(), AwmSettings()):
        RlConfig(algorithm=settings, sampling=SamplingConfig(eta=0.0))


@pytest.mark.parametrize(
    ("settings", "complaint"),
    [
        ({"clip_range": 0}, "clip_range"),
        ({"average_kl_weight": 0}, "average_kl_weight"),
    ],
)
def test_awm_has_no_way_to_go_without_its_brakes(settings, complaint):
    with pytest.raises(ValidationError, match=complaint):
        RlConfig.model_validate({"algorithm": {"kind": "awm"} | settings})
    with pytest.raises(ValidationError, match="ema_decay: algorithm awm breaks without"):
        RlConfig(algorithm=AwmSettings(), ema_decay=None)


@pytest.mark.parametrize("settings", [GuardSettings(), FlowDppoSettings()])
def test_densities_are_compared_of_those_that_there_are(settings):
    with pytest.raises(ValidationError, match=r'expected sampling.noise "sde"'):
        RlConfig(algorithm=settings, sampling=SamplingConfig(noise="cps"))


def test_each_update_has_a_group():
    with pytest.raises(ValidationError, match="updates_per_step: expected at most num_prompts, 2"):
        RlConfig(num_prompts=2, updates_per_step=3)


def test_times_are_those_of_the_grid():
    with pytest.raises(ValidationError, match="num_times: expected at most 7, the times"):
        RlConfig(algorithm=NftSettings(num_times=8))


def test_an_algorithm_is_chosen_by_its_kind():
    config = RlConfig.model_validate({"algorithm": {"kind": "guard", "clip_range": 1e-5}})
    assert config.algorithm == GuardSettings(clip_range=1e-5)
    with pytest.raises(ValidationError, match="clip_low"):
        RlConfig.model_validate({"algorithm": {"kind": "guard", "clip_low": 1e-5}})
