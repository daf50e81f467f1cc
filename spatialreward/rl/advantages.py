"""Advantages of edits within their group: the edits of the same source and instruction.

Formulas: arXiv 2505.05470, equation 3, with the unbiased deviation of the group; combines several
rewards as in GDPO or as a weighted sum.
"""

from collections.abc import Mapping
from typing import Literal, NamedTuple

import torch
from torch import Tensor

# P prompts, G edits of each, B = P * G edits


class Compared(NamedTuple):
    """Advantages within groups."""

    advantages_PG: Tensor
    """0 for an edit without a judgement, and in groups without spread."""
    counts_PG: Tensor
    """Whether an edit contributes a gradient."""
    has_spread_P: Tensor


class Comparison(NamedTuple):
    """Settings that turn rewards into advantages."""

    weights: Mapping[str, float]
    """Of the rewards, by name."""
    combine: Literal["sum", "each"] = "sum"
    max_advantage: float = 5.0
    min_spread: float = 1e-4

    def __call__(self, rewards: Mapping[str, Tensor]) -> Compared:
        """Compare edits by several rewards.

        ``sum``: advantages of their weighted sum, for edits with all rewards. ``each``: the
        weighted sum of their advantages, without missing ones.

        Args:
            rewards: ``[P, G]`` each, NaN without a judgement.
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
        """Weighted sum of the rewards, NaN if one is missing."""
        return sum(self.weights[name] * one for name, one in rewards.items())


def compare(
    rewards_PG: Tensor,
    max_advantage: float | None = 5.0,
    min_spread: float = 1e-4,
    eps: float = 1e-4,
) -> Compared:
    """Advantage of each edit in its group, in standard deviations of the group.

    Args:
        rewards_PG: NaN for an edit without a judgement, which its group omits.
        max_advantage: clip range of advantages; None: no clip.
        min_spread: a group with a lower standard deviation gets no advantages, nor does one with
            fewer than two judged edits.
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
