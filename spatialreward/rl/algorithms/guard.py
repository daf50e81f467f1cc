"""GRPO-Guard (arXiv 2510.22319): clips ratios symmetrically and equally in all steps.

A plain log-ratio has a negative mean, and its spread grows with less noise in a step, so that a
fixed clip range affects only one side and some of the steps.
"""

from spatialreward.editors.config import SamplingConfig
from spatialreward.editors.sampling import mean_of_elements
from spatialreward.rl.algorithms.config import GuardSettings
from spatialreward.rl.algorithms.interface import Part, clipped_objective, is_outside
from spatialreward.rl.algorithms.stepwise import Gain, Replay, Stepwise


def guard(settings: GuardSettings, sampling: SamplingConfig, seed: int) -> Stepwise:
    """The algorithm: Flow-GRPO's objective of the normalised ratio, divided by the step's length.

    RatioNorm: ``s (log p_new - log p_old + mean_e(dmu^2) / (2 s^2))``, which is ``mean_e(dmu eps)``
    with ``dmu = mu_new - mu_old`` and ``x' = mu_old + s eps``; the second form loses no digits.
    """
    clip = settings.clip_range

    def objective(replay: Replay, part: Part) -> Gain:
        drawn = (replay.following - replay.old_mean) / replay.now.deviation
        apart = replay.now.mean - replay.old_mean
        log_ratio_B = mean_of_elements(apart * drawn, part.weights)
        gain_B = clipped_objective(log_ratio_B, part.advantage_B, clip, clip)
        if settings.divides_by_length:
            gain_B = gain_B / replay.length
        outside_B = is_outside(log_ratio_B, part.advantage_B, clip, clip)
        return Gain(gain_B, log_ratio_B, outside_B)

    return Stepwise(sampling, seed, settings.kl_weight, objective, keeps_means=True)
