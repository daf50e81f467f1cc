"""The mathematics of Flow-GRPO: advantages within a group, clipped ratio, divergence.

Formulas: arXiv 2505.05470, equations 3 to 5, with log-probs averaged over a latent's elements.
"""

import torch
from torch import Tensor

from spatialreward.editors.sampling import Transition

# P prompts, G edits of each, B = P * G edits


def normalise_by_group(rewards_PG: Tensor, max_advantage: float = 5.0, eps: float = 1e-4) -> Tensor:
    """Advantage of each edit over its siblings, in standard deviations of its group.

    NaN stands for an edit without a judgement: it is left out of its group and gets no advantage,
    as does a group in which fewer than two edits were judged.
    """
    judged = rewards_PG.isfinite()
    count = judged.sum(dim=1, keepdim=True)
    known = rewards_PG.nan_to_num(0.0)
    mean = known.sum(dim=1, keepdim=True) / count.clamp(min=1)
    centred = torch.where(judged, known - mean, torch.zeros_like(known))
    deviation = (centred.square().sum(dim=1, keepdim=True) / (count - 1).clamp(min=1)).sqrt()
    advantages = (centred / (deviation + eps)).clamp(-max_advantage, max_advantage)
    return torch.where(count > 1, advantages, torch.zeros_like(advantages))


def clipped_objective(
    log_probs_B: Tensor, old_log_probs_B: Tensor, advantages_B: Tensor, clip_range: float
) -> Tensor:
    """What is to be maximised, ``[B]``: the smaller of plain and clipped ratio times advantage."""
    ratio = (log_probs_B - old_log_probs_B).exp()
    clipped = ratio.clamp(1 - clip_range, 1 + clip_range)
    return torch.minimum(ratio * advantages_B, clipped * advantages_B)


def divergence(step: Transition, reference: Transition) -> Tensor:
    """KL divergence of two Gaussians of equal deviation, averaged over elements, ``[B]``."""
    apart = (step.mean - reference.mean) / step.deviation
    return 0.5 * apart.square().flatten(1).mean(dim=1)
