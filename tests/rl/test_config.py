import pytest
from pydantic import ValidationError

from spatialreward.editors.config import SamplingConfig
from spatialreward.rl.config import FlowGrpoConfig


def test_deterministic_steps_cannot_be_trained_on():
    with pytest.raises(ValidationError, match="eta: expected more than 0: deterministic steps"):
        FlowGrpoConfig(sampling=SamplingConfig(eta=0.0))
    assert FlowGrpoConfig(sampling=SamplingConfig(eta=0.1)).sampling.eta == 0.1
