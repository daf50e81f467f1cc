"""Advantages of edits over their siblings: the other edits of the same source and instruction.

Formulas: arXiv 2505.05470, equation 3, with the unbiased deviation of the group; several rewards as
GDPO adds them or as a weighted sum.
"""

from collections.abc import Mapping
from typing import Literal, NamedTuple

import torch
from torch import Tensor

# P prompts, G edits of each, B = P * G edits


class Compared(NamedTuple):
    """Edits compared with their siblings."""

    advantages_PG: Tensor
    """0 for an edit that was not judged, and in groups without spread."""
    counts_PG: Tensor
    """Whether an edit teaches anything."""
    has_spread_P: Tensor


class Comparison(NamedTuple):
    """How rewards become advantages."""

    weights: Mapping[str, float]
    """Of the rewards, by their names."""
    combine: Literal["sum", "each"] = "sum"
    max_advantage: float = 5.0
    min_spread: float = 1e-4

    def __call__(self, rewards: Mapping[str, Tensor]) -> Compared:
        """Compare edits by several rewards.

        ``sum``: of their weighted sum, which an edit has that every reward was given for. ``each``:
        compared by itself, then added by weight, without those that an edit or a group lacks.

        Args:
            rewards: ``[P, G]`` each, NaN where there is no judgement.
        """
        if self.combine == "sum":
            return compare(self.total(rewards), self.max_advantage, self.min_spread)
        compared = {name: compare(one, None, self.min_spread) for name, one in rewards.items()}
        advantages_PG = sum(
            self.weights[name] * one.advantages_PG for name, one in compared.items()
        ).clamp(-self.max_advantage, self.max_advantage)
        counts_PG = torch.stack([one.counts_PG for one in compared.values()]).any(dim=0)
        return Compared(advantages_PG, counts_PG, counts_PG.any(dim=1))

    def total(self, rewards: Mapping[str, Tensor]) -> Tensor:
        """Weighted sum of the rewards, NaN where one is missing."""
        return sum(self.weights[name] * one for name, one in rewards.items())


def compare(
    rewards_PG: Tensor,
    max_advantage: float | None = 5.0,
    min_spread: float = 1e-4,
    eps: float = 1e-4,
) -> Compared:
    """Advantage of each edit over its siblings, in standard deviations of its group.

    Args:
        rewards_PG: NaN for an edit without a judgement, which is left out of its group.
        max_advantage: advantages are clipped there; None: not at all.
        min_spread: standard deviation below which a group teaches nothing, as does one in which
            fewer than two edits were judged.
        eps: added to the standard deviation.
    """
    judged = rewards_PG.isfinite()
    count_P1 = judged.sum(dim=1, keepdim=True)
    known = rewards_PG.nan_to_num(0.0)
    mean = known.sum(dim=1, keepdim=True) / count_P1.clamp(min=1)
    centred = torch.where(judged, known - mean, torch.zeros_like(known))
    deviation = (centred.square().sum(dim=1, keepdim=True) / (count_P1 - 1).clamp(min=1)).sqrt()
    has_spread_P1 = (count_P1 > 1) & (deviation > 0) & (deviation >= min_spread)
    advantages = centred / (deviation + eps)
    if max_advantage is not None:
        advantages = advantages.clamp(-max_advantage, max_advantage)
    advantages = torch.where(has_spread_P1, advantages, torch.zeros_like(advantages))
    return Compared(advantages, judged & has_spread_P1, has_spread_P1[:, 0])
