"""The same model in less time: what transformers computes piecemeal, computed in one go."""

import functools
from typing import TYPE_CHECKING

from spatialreward.judges.qwen_vl import attention
from spatialreward.judges.qwen_vl.norm import faster_norm
from spatialreward.judges.qwen_vl.positions import token_positions
from spatialreward.judges.qwen_vl.vision import faster_vision

if TYPE_CHECKING:
    from transformers import PreTrainedModel


def make_faster(model: "PreTrainedModel") -> None:
    """Change how a new or newly read model computes, once, for training and for judging.

    Results are the same to rounding. Parameters and modules keep their names and shapes, so that
    checkpoints, adapters and sharded optimisers see no difference.
    """
    faster_vision(model.model.visual)
    attention.use(model.model.language_model)
    merge_size = model.config.vision_config.spatial_merge_size
    model.model.get_rope_index = functools.partial(token_positions, merge_size)
    for module in model.modules():
        if type(module).__name__.endswith("RMSNorm"):  # Each architecture has a class of its own.
            module.__class__ = faster_norm(type(module))
