"""What a training of a judge begins with: a checkpoint, and what it is called."""

from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from spatialreward.judges.qwen_vl import checkpoint
from spatialreward.judges.qwen_vl.limits import check_limits
from spatialreward.protocol.prompts import Protocol
from spatialreward.training.arguments import reduces_precision
from spatialreward.training.config import TrainingConfig

if TYPE_CHECKING:
    from spatialreward.judges.qwen_vl.processor import Processor


class Base(NamedTuple):
    """What a training begins with."""

    folder: Path
    """A checkpoint."""
    origin: str = ""
    """What it is, for the card, in other words than the folder's."""


def load_base(base: Base, config: TrainingConfig, protocol: Protocol) -> tuple[Any, "Processor"]:
    """Model and processor of what a training begins with.

    Raises:
        InvalidInputError: it is no checkpoint, or too small for the protocol.
    """
    import torch

    # What LoRA leaves as it is, and what DeepSpeed keeps a 32-bit copy of, takes half the memory.
    is_halved = config.tuning.kind == "lora" or config.deepspeed is not None
    halved = is_halved and reduces_precision(config)
    dtype = torch.bfloat16 if halved else torch.float32
    model, processor = checkpoint.load_for_training(base.folder, dtype)
    processor = processor.following(protocol)
    check_limits(protocol, f"protocol {protocol.name}", model.config, processor)
    return model, processor
