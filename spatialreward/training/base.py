"""The starting checkpoint of a judge's training, and its description."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from spatialreward.judges.qwen_vl import checkpoint
from spatialreward.judges.qwen_vl.limits import check_limits
from spatialreward.protocol.prompts import Protocol
from spatialreward.records import AnswerForm
from spatialreward.training.arguments import reduces_precision
from spatialreward.training.config import TrainingConfig

if TYPE_CHECKING:
    from spatialreward.judges.qwen_vl.processor import Processor


_WRITES: Mapping[AnswerForm, str] = {
    AnswerForm.REGIONS: "edit regions, reasoning and four scores",
    AnswerForm.REASONING: "reasoning and four scores",
    AnswerForm.SCORES: "four scores",
    AnswerForm.NONE: "nothing written",
}


class Base(NamedTuple):
    """The starting point of a training."""

    folder: Path
    """A checkpoint."""
    origin: str = ""
    """Its origin for the card, if that is not the folder."""


def kind_in_words(form: AnswerForm, *, has_head: bool = False) -> str:
    """A judge's outputs, for its card."""
    return f"judge: {_WRITES[form]}{', and scores of a scalar head' if has_head else ''}"


def load_base(base: Base, config: TrainingConfig, protocol: Protocol) -> tuple[Any, "Processor"]:
    """Load model and processor of a training's starting point.

    Raises:
        InvalidInputError: it is not a checkpoint, or too small for the protocol.
    """
    import torch

    # 16 bits for weights that LoRA freezes, or that DeepSpeed copies in 32 bits, halve the memory.
    is_halved = config.tuning.kind == "lora" or config.deepspeed is not None
    halved = is_halved and reduces_precision(config)
    dtype = torch.bfloat16 if halved else torch.float32
    model, processor = checkpoint.load_for_training(base.folder, dtype)
    processor = processor.following(protocol)
    check_limits(protocol, f"protocol {protocol.name}", model.config, processor)
    return model, processor
