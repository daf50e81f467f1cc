"""Flow-DPPO (arXiv 2606.11025): plain ratios, within a bound on the divergence from what drew.

A ratio is a noisy estimate of how far the policy has gone, of one sample; the divergence of two
Gaussians of equal deviation is known exactly.
"""

import torch

from spatialreward.editors.config import SamplingConfig
from spatialreward.editors.sampling import mean_of_elements
from spatialreward.rl.algorithms.config import FlowDppoSettings
from spatialreward.rl.algorithms.interface import Part
from spatialreward.rl.algorithms.stepwise import Gain, Replay, Stepwise


def flow_dppo(settings: FlowDppoSettings, sampling: SamplingConfig, seed: int) -> Stepwise:
    """The algorithm; of each step ``-A rho``, and 0 where it is too far away and would go on.

    The divergence is ``D = mean_e(dmu^2) / (2 s^2)``; a step goes on where ``A > 0`` and ``rho >
    1``, or ``A < 0`` and ``rho < 1``.
    """

    def objective(replay: Replay, part: Part) -> Gain:
        log_ratio_B = replay.log_ratio(part)
        apart = (replay.now.mean - replay.old_mean).detach() / replay.now.deviation
        divergence_B = 0.5 * mean_of_elements(apart.square(), part.weights)
        goes_on = part.advantage_B * log_ratio_B.detach() > 0
        stopped = (divergence_B > settings.max_divergence) & goes_on
        gain_B = part.advantage_B * log_ratio_B.exp()
        gain_B = torch.where(stopped, torch.zeros_like(gain_B), gain_B)
        return Gain(gain_B, log_ratio_B, stopped.float())

    return Stepwise(sampling, seed, settings.kl_weight, objective, keeps_means=True)
