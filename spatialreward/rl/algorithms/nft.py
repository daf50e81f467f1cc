"""DiffusionNFT (arXiv 2509.16117), in the form of Edit-R1 (arXiv 2510.16888).

Needs no log-probs and works with any solver: it adds noise to the old policy's edits, and trains
the policy towards the good ones and away from the bad ones. Not for step-distilled editors, which
it blurs.
"""

from collections.abc import Sequence
from contextlib import AbstractContextManager

import torch
from torch import Tensor

from spatialreward.editors.config import SamplingConfig
from spatialreward.editors.sampling import mean_of_elements
from spatialreward.rl.algorithms.config import NftSettings
from spatialreward.rl.algorithms.interface import Advantages, Batch, Models, Term
from spatialreward.rl.algorithms.matching import Matching, Noised, distance
from spatialreward.rl.weights import Shadow, TrainedWeights
from spatialreward.training.optimisation import Stateful

# B edits
_SMALLEST_WEIGHT = 1e-5


class Nft(Matching):
    """The algorithm; its old policy samples, and follows the trained one after each step."""

    def __init__(
        self,
        settings: NftSettings,
        sampling: SamplingConfig,
        seed: int,
        max_advantage: float,
        weights: TrainedWeights,
    ) -> None:
        """Start with an old policy equal to the trained one.

        Args:
            settings: strength, divergence, and how the old policy follows.
            sampling: the grid of times.
            seed: of the drawn times.
            max_advantage: advantages of this size are fully good or bad.
            weights: of the policy.
        """
        super().__init__(settings, sampling, seed)
        self._settings = settings
        self._max_advantage = max_advantage
        self._old = Shadow(weights)

    @property
    def parts(self) -> Sequence[Stateful]:
        """The old policy's weights."""
        return (self._old,)

    def drawing(self, models: Models) -> AbstractContextManager[object]:
        """The old policy samples."""
        return self._old.in_place()

    def term(self, models: Models, batch: Batch, advantages: Advantages, number: int) -> Term:
        """Loss at one time."""
        noised = self.noised(batch, number)
        with self._old.in_place():
            old = noised.velocity(models.policy, batch)
        new = noised.velocity(models.policy, batch)
        loss_B = contrast(
            new, old, noised, advantages, self._settings.strength, self._max_advantage
        )
        metrics = {"policy/from_old": distance(new, old).detach()}
        if self._settings.kl_weight:
            with torch.no_grad():
                anchor = noised.velocity(models.reference, batch)
            kl_B = distance(new, anchor)
            loss_B = loss_B + self._settings.kl_weight * kl_B
            metrics["policy/kl"] = kl_B.detach()
        return Term(loss_B, None, metrics)

    def finish_step(self, step: int) -> dict[str, float]:
        """Update the old policy."""
        share = self._settings.old_share(step + 1)
        self._old.follow(share)
        return {"policy/old_share": share}


def contrast(
    new: Tensor,
    old: Tensor,
    noised: Noised,
    advantages: Advantages,
    strength: float,
    max_advantage: float,
) -> Tensor:
    """The loss without its divergence, ``[B]``; 0 for an edit that does not contribute.

    ``q = 0.5 + 0.5 clip(A / max, -1, 1)``; the implicit policies' velocities are ``v+ = b v_new +
    (1 - b) v_old`` and ``v- = (1 + b) v_old - b v_new`` with the strength ``b``, and ``p± = x +
    sigma v±`` their predictions of the finished edit. For each, the squared error is divided by
    ``w± = max(mean_e |p± - x0|, 1e-5)``, without a gradient; the loss is
    ``max / b mean_e(q (p+ - x0)^2 / w+ + (1 - q) (p- - x0)^2 / w-)``. For a map ``A``, ``q`` is
    also a map.
    """
    sigma = 1 - noised.time
    latents = noised.latents.to(noised.finished.dtype)
    shape = (-1, *([1] * (latents.dim() - 1)))
    of_places = advantages.of_places
    if of_places is None:
        of_places = advantages.of_edits_B.view(shape)
    good = 0.5 + 0.5 * (of_places / max_advantage).clamp(-1, 1)
    loss_B = torch.zeros_like(advantages.of_edits_B)
    towards = strength * new + (1 - strength) * old
    away = (1 + strength) * old - strength * new
    for velocity, share in ((towards, good), (away, 1 - good)):
        error = latents + sigma * velocity - noised.finished
        size_B = error.detach().double().abs().flatten(1).mean(dim=1).clamp(min=_SMALLEST_WEIGHT)
        loss_B = loss_B + mean_of_elements(share * error.square()) / size_B.to(error.dtype)
    counts_B = advantages.counts_B
    return torch.where(counts_B, max_advantage / strength * loss_B, torch.zeros_like(loss_B))
