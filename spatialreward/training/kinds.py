"""What a kind of judge is taught: the protocol it follows, and the streams that are trained."""

from spatialreward.protocol.choice import named_protocol
from spatialreward.protocol.prompts import Protocol
from spatialreward.records import AnswerForm, Streams
from spatialreward.training.config import JudgeTrainingConfig


def protocol_for(config: JudgeTrainingConfig) -> Protocol:
    """The protocol of the settings, with the answer that this kind of judge writes."""
    protocol = named_protocol(config.protocol)
    if config.answer is AnswerForm.REGIONS:
        return protocol
    name = f"{protocol.name}-{config.answer}"
    return protocol.model_copy(update={"name": name, "answer": config.answer})


def trained_streams(config: JudgeTrainingConfig) -> dict[Streams, float]:
    """The streams that are trained, with the share of each."""
    shares = {
        Streams.SEMANTIC: 1 - config.perceptual_share,
        Streams.PERCEPTUAL: config.perceptual_share,
    }
    return {stream: share for stream, share in shares.items() if share}
