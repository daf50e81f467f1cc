"""Losses of a scalar head: the order of edits of one task, and known scores.

Bradley-Terry with ties: the probability that the first
of two is better is ``sigmoid`` of the difference of their logits, and a tie has the target 0.5.
"""

from typing import NamedTuple, Self

import torch
from torch.nn import functional

# B samples, P pairs (i < j) of the batch; 2 dimensions, those of the sample's stream


class Compared(NamedTuple):
    """The pairs of a batch, per dimension."""

    first_P: torch.Tensor
    second_P: torch.Tensor
    dimension_P: torch.Tensor
    target_P: torch.Tensor
    """1: the first one is better; 0: the second one; 0.5: a tie."""


def compared(groups_B: torch.Tensor, values_B2: torch.Tensor) -> Compared:
    """All pairs of one group on each dimension that both have a value for; larger is better.

    Args:
        groups_B: equal for samples of one task and stream.
        values_B2: scores, or negated ranks; NaN: none.
    """
    first_P, second_P = torch.triu_indices(len(groups_B), len(groups_B), 1, device=groups_B.device)
    difference_P2 = values_B2[first_P] - values_B2[second_P]
    same_P = groups_B[first_P] == groups_B[second_P]
    row_P, dimension_P = torch.nonzero(same_P[:, None] & ~difference_P2.isnan(), as_tuple=True)
    target_P = (difference_P2[row_P, dimension_P].sign() + 1) / 2
    return Compared(first_P[row_P], second_P[row_P], dimension_P, target_P)


class HeadLosses(NamedTuple):
    """Sums over a batch with their counts, each a scalar tensor."""

    pairs: torch.Tensor
    num_pairs: int
    known: torch.Tensor
    num_known: int
    num_right: int
    """Pairs without ties that the logits order correctly."""
    num_decided: int
    """Pairs without ties."""

    def detached(self) -> Self:
        """The same without gradients."""
        return self._replace(pairs=self.pairs.detach(), known=self.known.detach())


def head_losses(
    logits_B2: torch.Tensor,
    groups_B: torch.Tensor,
    values_B2: torch.Tensor,
    known_B2: torch.Tensor,
) -> HeadLosses:
    """The losses of a batch.

    Args:
        logits_B2: of each sample's stream.
        groups_B: as for ``compared``.
        values_B2: as for ``compared``.
        known_B2: known scores, 0..1; NaN: none.
    """
    pairs = compared(groups_B, values_B2)
    difference_P = (
        logits_B2[pairs.first_P, pairs.dimension_P] - logits_B2[pairs.second_P, pairs.dimension_P]
    )
    loss_P = functional.binary_cross_entropy_with_logits(
        difference_P, pairs.target_P.to(difference_P.dtype), reduction="none"
    )
    is_known_B2 = ~known_B2.isnan()
    loss_K = functional.binary_cross_entropy_with_logits(
        logits_B2[is_known_B2], known_B2[is_known_B2].to(logits_B2.dtype), reduction="none"
    )
    is_decided_P = pairs.target_P != 0.5
    is_right_P = is_decided_P & ((difference_P.sign() + 1) / 2 == pairs.target_P)
    # Even without pairs the sum depends on the logits, so every process has a gradient.
    return HeadLosses(
        loss_P.sum() + 0.0 * logits_B2.sum(),
        len(loss_P),
        loss_K.sum(),
        len(loss_K),
        int(is_right_P.sum()),
        int(is_decided_P.sum()),
    )
