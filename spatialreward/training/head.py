"""A scalar head on a model in training: shares the forward pass of the answers.

The head is a module of the model, so gradients, DeepSpeed's partitioning and the Trainer's states
handle it like any other; its prefix in weight names is ``scalar_head``.
"""

import functools
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from spatialreward.judges.qwen_vl.folder import head_home
from spatialreward.judges.qwen_vl.scalar_head import ScalarHead, read_head
from spatialreward.training.config import JudgeTrainingConfig
from spatialreward.training.kinds import trained_streams

if TYPE_CHECKING:
    from transformers import PreTrainedModel

MODULE = "scalar_head"
_IN_A_NAME = f"{MODULE}."

# B conversations, K + 1 last positions, H hidden size, V words, D scores


def attach_head(model: "PreTrainedModel", head: ScalarHead) -> None:
    """Attach a head to a model once: ``forward`` then takes ``read_at`` and returns both outputs.

    ``read_at`` ``[B]`` is the prompt's last position among those whose logits are kept; the outputs
    are ``logits`` ``[B, K + 1, V]`` and ``scalars`` ``[B, D]``.
    """
    setattr(model, MODULE, head)
    model.forward = functools.partial(_forward, model, model.forward)


def prepare_head(
    model: "PreTrainedModel", base: Path, config: JudgeTrainingConfig
) -> ScalarHead | None:
    """Attach the head to train: the base's, if it has one for the same streams.

    Returns:
        The head; None for a kind of judge without one.

    Raises:
        InvalidInputError: the base's head is damaged or does not fit.
    """
    if not config.has_head:
        return None
    hidden_size = model.config.get_text_config().hidden_size
    head = ScalarHead(hidden_size, list(trained_streams(config)))
    if head_home(base) is not None:
        before = read_head(base, hidden_size)
        if before.streams == head.streams:
            head = before
    attach_head(model, head)
    return head


def _forward(
    model: "PreTrainedModel",
    forward: Callable[..., Any],
    *given: Any,
    read_at: torch.Tensor,
    **inputs: Any,
) -> dict[str, torch.Tensor]:
    seen: list[torch.Tensor] = []
    # The output layer's input is also the head's input at inference.
    hook = model.lm_head.register_forward_pre_hook(lambda _, taken: seen.append(taken[0]))
    try:
        logits_BKV = forward(*given, **inputs).logits
    finally:
        hook.remove()
    [hidden_BKH] = seen
    rows_B = torch.arange(len(read_at), device=read_at.device)
    return {"logits": logits_BKV, "scalars": getattr(model, MODULE)(hidden_BKH[rows_B, read_at])}


def head_in(model: torch.nn.Module) -> ScalarHead:
    """The head of a model, or of its wrapper."""
    [head] = [one for one in model.modules() if isinstance(one, ScalarHead)]
    return head


def is_of_head(name: str) -> bool:
    """Whether a weight belongs to a head, by its name."""
    return _IN_A_NAME in name


def head_weights(weights: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """The head's weights among a model's, by their names in the head."""
    return {
        name.rpartition(_IN_A_NAME)[2]: one for name, one in weights.items() if is_of_head(name)
    }
