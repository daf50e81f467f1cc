"""The streams of a judge's training."""

from spatialreward.records import Streams
from spatialreward.training.config import JudgeTrainingConfig


def trained_streams(config: JudgeTrainingConfig) -> dict[Streams, float]:
    """The trained streams, with the share of each."""
    shares = {
        Streams.SEMANTIC: 1 - config.perceptual_share,
        Streams.PERCEPTUAL: config.perceptual_share,
    }
    return {stream: share for stream, share in shares.items() if share}
