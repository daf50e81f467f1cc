"""Which weights of a judge are trained: all, those of the language model, or a LoRA beside them.

Names are those of Qwen's vision language models in transformers 5: everything of the vision part
lies under ``model.visual``, mergers and deepstack mergers too.
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
"""A pattern of its own: peft's ``all-linear`` takes the vision part too."""
_HEAD = "scalar_head."
_UNUSED = "lm_head."
"""The output layer, where nothing is written; that of tied weights is the table of embeddings."""
_ADAPTER = re.compile(rf".*language_model\.layers\.\d+\.({_LINEAR})\.lora_(A|B)\.default\.weight")


def prepare(model: "PreTrainedModel", config: TrainingConfig, base: str) -> "torch.nn.Module":
    """Freeze what is not trained, and put a LoRA on, if the settings say so.

    Args:
        model: what is trained.
        config: how.
        base: what an adapter is for, which it says of itself.

    Raises:
        InvalidInputError: the model has no place for the LoRA.
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
    """Make sure by name that what is trained is what the settings say, and nothing else."""
    for name, weight in model.named_parameters():
        if config.tuning.kind == "lora":
            expected = _ADAPTER.fullmatch(name) is not None or _HEAD in name
        else:
            expected = _is_trained(name, config)
        assert weight.requires_grad == expected, f"{name}: requires_grad is {weight.requires_grad}"


def _is_trained(name: str, config: TrainingConfig) -> bool:
    """Whether a weight is, where all of them could be."""
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
            # peft 0.21 asks transformers 5.23 for what has another name there.
            warnings.filterwarnings("ignore", "`is_gradient_checkpointing`", FutureWarning)
            # ZeRO-3 computes in one precision, the adapter included.
            wrapped = get_peft_model(model, lora, autocast_adapter_dtype=not is_sharded)
    except ValueError as error:
        raise InvalidInputError(f"LoRA: {' '.join(str(error).split())}") from error
    for name, weight in wrapped.named_parameters():
        if _HEAD in name:
            weight.requires_grad_(True)
    return wrapped


def size_of(weight: "torch.nn.Parameter") -> int:
    """Numbers of a weight; under ZeRO-3 it is empty between its uses, and knows how many."""
    return getattr(weight, "ds_numel", weight.numel())
