"""Flow-DPPO (arXiv 2606.11025): plain ratios, with a bound on the divergence.

A ratio estimates the policy's change from one sample, with noise; the divergence of two Gaussians
of equal deviation is exact.
"""

import torch

from spatialreward.editors.config import SamplingConfig
from spatialreward.editors.sampling import mean_of_elements
from spatialreward.rl.algorithms.config import FlowDppoSettings
from spatialreward.rl.algorithms.interface import Part
from spatialreward.rl.algorithms.stepwise import Gain, Replay, Stepwise


def flow_dppo(settings: FlowDppoSettings, sampling: SamplingConfig, seed: int) -> Stepwise:
    """The algorithm: per step ``-A rho``, and 0 beyond the bound if it would diverge further.

    The divergence is ``D = mean_e(dmu^2) / (2 s^2)``; a step diverges further if ``A > 0`` and
    ``rho > 1``, or ``A < 0`` and ``rho < 1``.
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
