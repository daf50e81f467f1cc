"""Selects a judge's trained weights: all, those of the language model, or a LoRA.

Names are those of Qwen's vision language models in transformers 5: the whole vision part, including
mergers and deepstack mergers, lies under ``model.visual``.
"""

import logging
import re
import warnings
from typing import TYPE_CHECKING

from spatialreward.errors import InvalidInputError
from spatialreward.training.config import LoraTuning, TrainingConfig

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel

logger = logging.getLogger(__name__)

_VISION = "model.visual."
_LINEAR = r"self_attn\.(q|k|v|o)_proj|mlp\.(gate|up|down)_proj"
LORA_TARGETS = rf".*language_model\.layers\.\d+\.({_LINEAR})"
"""Our own pattern: peft's ``all-linear`` includes the vision part."""
_HEAD = "scalar_head."
_UNUSED = "lm_head."
"""The output layer, unused without generation; tied weights share the table of embeddings."""
_ADAPTER = re.compile(rf".*language_model\.layers\.\d+\.({_LINEAR})\.lora_(A|B)\.default\.weight")


def prepare(model: "PreTrainedModel", config: TrainingConfig, base: str) -> "torch.nn.Module":
    """Freeze untrained weights, and add a LoRA if configured.

    Args:
        model: the model to train.
        config: the training's settings.
        base: the adapter's base, for its metadata.

    Raises:
        InvalidInputError: the model has no layers for the LoRA.
    """
    if isinstance(config.tuning, LoraTuning):
        prepared = _with_lora(model, config.tuning, base, is_sharded=config.deepspeed == "zero3")
    else:
        for name, weight in model.named_parameters():
            weight.requires_grad_(_is_trained(name, config))
        prepared = model
    check(prepared, config)
    trained = sum(size_of(one) for one in prepared.parameters() if one.requires_grad)
    total = sum(size_of(one) for one in prepared.parameters())
    logger.info("training %.3g of %.3g million weights", trained / 1e6, total / 1e6)
    return prepared


def check(model: "torch.nn.Module", config: TrainingConfig) -> None:
    """Check by name that exactly the configured weights are trained."""
    for name, weight in model.named_parameters():
        if config.tuning.kind == "lora":
            expected = _ADAPTER.fullmatch(name) is not None or _HEAD in name
        else:
            expected = _is_trained(name, config)
        assert weight.requires_grad == expected, f"{name}: requires_grad is {weight.requires_grad}"


def _is_trained(name: str, config: TrainingConfig) -> bool:
    """Whether a weight is trained under full tuning."""
    if not config.writes and name.startswith(_UNUSED):
        return False
    return config.trains_vision or not name.startswith(_VISION)


def _with_lora(
    model: "PreTrainedModel", tuning: LoraTuning, base: str, *, is_sharded: bool
) -> "torch.nn.Module":
    from peft import LoraConfig, get_peft_model

    lora = LoraConfig(
        r=tuning.rank,
        lora_alpha=tuning.alpha,
        lora_dropout=tuning.dropout,
        target_modules=LORA_TARGETS,
        task_type="CAUSAL_LM",
    )
    model.name_or_path = base
    try:
        with warnings.catch_warnings():
            # peft 0.21 uses an old name of transformers 5.23.
            warnings.filterwarnings("ignore", "`is_gradient_checkpointing`", FutureWarning)
            # ZeRO-3 computes in one precision, including the adapter.
            wrapped = get_peft_model(model, lora, autocast_adapter_dtype=not is_sharded)
    except ValueError as error:
        raise InvalidInputError(f"LoRA: {' '.join(str(error).split())}") from error
    for name, weight in wrapped.named_parameters():
        if _HEAD in name:
            weight.requires_grad_(True)
    return wrapped


def size_of(weight: "torch.nn.Parameter") -> int:
    """Number of elements; under ZeRO-3 a weight is empty between uses, but knows its size."""
    return getattr(weight, "ds_numel", weight.numel())
