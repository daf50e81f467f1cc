"""Flow-GRPO (arXiv 2505.05470): clipped probability ratios of stochastic steps.

With ``sampling.window`` it is Flow-GRPO-Fast or MixGRPO (arXiv 2507.21802), with ``step_weights``
TempFlow-GRPO (arXiv 2508.04324), with ``sampling.noise`` "cps" Flow-CPS (arXiv 2509.05952), with
"dance" DanceGRPO (arXiv 2505.07818).
"""

import numpy as np

from spatialreward.editors.config import SamplingConfig
from spatialreward.editors.sampling import deviation_of
from spatialreward.rl.algorithms.config import FlowGrpoSettings
from spatialreward.rl.algorithms.interface import Batch, Part, clipped_objective, is_outside
from spatialreward.rl.algorithms.stepwise import Gain, Replay, Stepwise


def flow_grpo(settings: FlowGrpoSettings, sampling: SamplingConfig, seed: int) -> Stepwise:
    """The algorithm: per step ``max(-A rho, -A clip(rho, 1 - low, 1 + high)) + beta KL``.

    ``rho`` is the ratio of probabilities, whose logarithms are means over elements (equations 3
    to 5).
    """
    low, high = settings.clip_range(in_window=sampling.window is not None)

    def objective(replay: Replay, part: Part) -> Gain:
        log_ratio_B = replay.log_ratio(part)
        return Gain(
            clipped_objective(log_ratio_B, part.advantage_B, low, high),
            log_ratio_B,
            is_outside(log_ratio_B, part.advantage_B, low, high),
        )

    def weight_of(batch: Batch, number: int) -> float:
        return noise_weights(batch, sampling)[number]

    if settings.step_weights == "noise":
        return Stepwise(sampling, seed, settings.kl_weight, objective, weight_of=weight_of)
    return Stepwise(sampling, seed, settings.kl_weight, objective)


def noise_weights(batch: Batch, sampling: SamplingConfig) -> list[float]:
    """Deviation of each trained step relative to their mean (TempFlow-GRPO, arXiv 2508.04324)."""
    times = batch.rollout.times
    deviations = [
        deviation_of(times[step], times[step + 1], sampling.eta, sampling.noise)[0]
        for step in batch.rollout.steps
    ]
    return (np.array(deviations) / np.mean(deviations)).tolist()
