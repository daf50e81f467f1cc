import pytest
import torch
from torch import nn

from spatialreward.rl.checks import (
    NotFiniteError,
    RatioError,
    allowed_log_ratio,
    check_finite,
    check_norm,
    check_ratio,
)


def test_what_is_no_number_is_reported_with_step_and_prompts():
    latents = torch.zeros(4, 2, 2)
    names = ["prompt 1", "prompt 1", "prompt 2", "prompt 3"]
    check_finite(latents, "latents", 0, names)
    latents[1, 0, 0] = latents[3, 1, 1] = float("nan")
    with pytest.raises(NotFiniteError, match=r"^step 3: latents of prompt 1, prompt 3: NaN"):
        check_finite(latents, "latents", 2, names)
    with pytest.raises(NotFiniteError, match=r"the loss of a, b, c and 1 more: NaN"):
        check_finite(torch.full((4,), torch.inf), "the loss", 0, list("abcd"))
    with pytest.raises(NotFiniteError, match="step 1: the gradient is NaN or infinite"):
        check_norm(torch.tensor(float("nan")), 0)
    assert check_norm(torch.tensor(2.5), 0) == 2.5


def test_a_ratio_may_differ_from_1_by_rounding_only():
    module = nn.Sequential(nn.Linear(2, 2), nn.Dropout(0.1))
    allowed = allowed_log_ratio(module)
    assert check_ratio(torch.tensor([1e-6, -2e-6]), allowed, module.eval(), 0) == pytest.approx(
        2e-6
    )
    with pytest.raises(RatioError, match=r"step 5: .* is 0.01 from it, .* look for random"):
        check_ratio(torch.tensor([0.0, -0.01]), allowed, module, 4)
    with pytest.raises(RatioError, match="the dropout 1 is on"):
        check_ratio(torch.tensor([0.01]), allowed, module.train(), 4)
    assert allowed_log_ratio(module.bfloat16()) > 10 * allowed
