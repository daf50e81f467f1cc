"""Creates an algorithm from settings."""

from spatialreward.rl.algorithms.awm import Awm
from spatialreward.rl.algorithms.config import (
    AwmSettings,
    FlowDppoSettings,
    FlowGrpoSettings,
    GuardSettings,
    NftSettings,
)
from spatialreward.rl.algorithms.flow_dppo import flow_dppo
from spatialreward.rl.algorithms.flow_grpo import flow_grpo
from spatialreward.rl.algorithms.guard import guard
from spatialreward.rl.algorithms.interface import Algorithm
from spatialreward.rl.algorithms.nft import Nft
from spatialreward.rl.config import RlConfig
from spatialreward.rl.weights import TrainedWeights


def load_algorithm(config: RlConfig, weights: TrainedWeights) -> Algorithm:
    """The configured algorithm, for the trained weights."""
    sampling, seed = config.sampling, config.seed
    match config.algorithm:
        case FlowGrpoSettings() as settings:
            return flow_grpo(settings, sampling, seed)
        case GuardSettings() as settings:
            return guard(settings, sampling, seed)
        case FlowDppoSettings() as settings:
            return flow_dppo(settings, sampling, seed)
        case NftSettings() as settings:
            return Nft(settings, sampling, seed, config.max_advantage, weights)
        case AwmSettings() as settings:
            return Awm(settings, sampling, seed)
