"""Invariants of an editor's training, checked while it runs."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from spatialreward.errors import SpatialRewardError

# B edits
_ALLOWED = 1e-4
_ALLOWED_IN_HALF = 1e-2
"""Of a log-ratio; larger ones are not rounding errors of float32, or of 16 bits."""
_SHOWN = 3


class NotFiniteError(SpatialRewardError, RuntimeError):
    """Latents, a loss or a gradient are NaN or infinite; names the step and the prompts."""


class RatioError(SpatialRewardError, RuntimeError):
    """The update's probabilities differ from those at sampling."""


def check_finite(values: Tensor, what: str, step: int, names: Sequence[str]) -> None:
    """Check that all values are finite.

    Args:
        values: ``[B, ...]`` or ``[B]``.
        what: name of the values, for the message.
        step: of the training, counted from 0.
        names: the prompt of each of ``B``.

    Raises:
        NotFiniteError: some are not.
    """
    finite_B = values.detach().isfinite().reshape(len(values), -1).all(dim=1).tolist()
    if all(finite_B):
        return
    bad = dict.fromkeys(name for name, good in zip(names, finite_B, strict=True) if not good)
    worst = ", ".join(list(bad)[:_SHOWN])
    more = f" and {len(bad) - _SHOWN} more" if len(bad) > _SHOWN else ""
    raise NotFiniteError(
        f"step {step + 1}: {what} of {worst}{more}: NaN or infinite; try a smaller learning rate "
        "or gradient norm, or float32 where the editor computes in 16 bits"
    )


def allowed_log_ratio(module: nn.Module) -> float:
    """Largest log-ratio from rounding, by the dtype of an editor's weights."""
    in_half = any(weight.dtype.itemsize < 4 for weight in module.parameters())
    return _ALLOWED_IN_HALF if in_half else _ALLOWED


def check_ratio(log_ratio_B: Tensor, allowed: float, module: nn.Module, step: int) -> float:
    """Check that a policy before its first update equals the sampling policy.

    Args:
        log_ratio_B: of the policy to the sampling policy.
        allowed: largest deviation from 0 through rounding.
        module: the trained module.
        step: of the training, counted from 0.

    Returns:
        The log-ratio farthest from 0.

    Raises:
        RatioError: it exceeds rounding.
    """
    farthest = float(log_ratio_B.abs().max())
    if farthest <= allowed:
        return farthest
    dropouts = [
        name or "of the module itself"
        for name, one in module.named_modules()
        if isinstance(one, nn.Dropout) and one.p > 0 and one.training
    ]
    cause = (
        f"the dropout {dropouts[0]} is on"
        if dropouts
        else "look for random numbers or a mode of the module that differ, guidance that does, "
        "latents of another dtype, or sums that depend on the number of edits seen at once"
    )
    raise RatioError(
        f"step {step + 1}: before the first update the logarithm of the probability ratio should "
        f"be 0, and is {farthest:.2g} from it, more than {allowed:g}: the update does not see what "
        f"the drawing saw; {cause}"
    )


def check_norm(norm: Tensor, step: int) -> float:
    """Check that a gradient is finite.

    Raises:
        NotFiniteError: its norm is NaN or infinite.
    """
    if not bool(torch.isfinite(norm)):
        raise NotFiniteError(
            f"step {step + 1}: the gradient is NaN or infinite, though the loss is not; try a "
            "smaller learning rate, or float32 where the editor computes in 16 bits"
        )
    return float(norm)
