"""Advantage-weighted matching (arXiv 2509.25050): uses the matching error as log-prob.

Needs no trajectories and learns fast; without its clip and its moving average it collapses, so its
settings cannot disable either.
"""

import torch
from torch import Tensor

from spatialreward.editors.config import SamplingConfig
from spatialreward.editors.sampling import mean_of_elements
from spatialreward.rl.algorithms.config import AwmSettings
from spatialreward.rl.algorithms.interface import (
    Advantages,
    Batch,
    Models,
    Term,
    clipped_objective,
    is_outside,
    parts_of,
)
from spatialreward.rl.algorithms.matching import Matching, Noised, distance

# B edits, T times
_EPS = 1e-10


class Awm(Matching):
    """The algorithm; stores the sampling policy's predictions at the times to train."""

    def __init__(self, settings: AwmSettings, sampling: SamplingConfig, seed: int) -> None:
        """Configure the times from ``settings`` and the grid from ``sampling``."""
        super().__init__(settings, sampling, seed)
        self._settings = settings

    @torch.no_grad()
    def remember(self, models: Models, batch: Batch) -> dict[str, Tensor]:
        """The old policy's velocities, ``[T, B, ...]``."""
        terms = range(self.num_terms(batch))
        old = [self.noised(batch, number).velocity(models.policy, batch) for number in terms]
        return {"velocities": torch.stack(old)}

    def term(self, models: Models, batch: Batch, advantages: Advantages, number: int) -> Term:
        """Loss at one time: ``max(-A rho, -A clip(rho))`` and the distances.

        ``rho`` is ``exp(l_new - l_old)`` of the same noise.
        """
        noised = self.noised(batch, number)
        new, old = noised.velocity(models.policy, batch), batch.kept["velocities"][number]
        clip = self._settings.clip_range
        gain_B = torch.zeros_like(advantages.of_edits_B)
        ratios, outside = [], []
        for part in parts_of(advantages):
            log_ratio_B = self._log_prob(new, noised, part.weights) - self._log_prob(
                old, noised, part.weights
            )
            gain_B = gain_B + clipped_objective(log_ratio_B, part.advantage_B, clip, clip)
            ratios.append(log_ratio_B.detach())
            outside.append(is_outside(log_ratio_B.detach(), part.advantage_B, clip, clip))
        assert models.average is not None, "the settings make sure of it"
        with torch.no_grad(), models.average.in_place():
            average = noised.velocity(models.policy, batch)
        average_B = distance(new, average)
        loss_B = self._settings.average_kl_weight * average_B - gain_B
        log_ratio_B = torch.stack(ratios).abs().amax(dim=0)
        metrics = {
            "policy/ratio": ratios[0].exp(),
            "policy/clipped_share": torch.stack(outside).amax(dim=0),
            "policy/from_average": average_B.detach(),
        }
        if self._settings.kl_weight:
            with torch.no_grad():
                anchor = noised.velocity(models.reference, batch)
            kl_B = distance(new, anchor)
            loss_B = loss_B + self._settings.kl_weight * kl_B
            metrics["policy/kl"] = kl_B.detach()
        return Term(loss_B, log_ratio_B, metrics)

    def _log_prob(self, velocity: Tensor, noised: Noised, weights: Tensor | None) -> Tensor:
        """``-mean_e (v - (x0 - e))^2``, weighted, ``[B]``."""
        target = noised.finished - noised.noise
        error_B = mean_of_elements((velocity - target).square(), weights)
        return -self._weighted(error_B, 1 - noised.time)

    def _weighted(self, error_B: Tensor, sigma: float) -> Tensor:
        power = self._settings.huber_power
        match self._settings.weighting:
            case "uniform":
                return error_B
            case "sigma":
                return error_B * sigma
            case "sigma_squared":
                return error_B * sigma**2
            case "huber":
                return ((error_B + _EPS).sqrt() - _EPS**0.5) * sigma
            case "generalised_huber":
                return ((error_B + _EPS) ** power - _EPS**power) * sigma / power
