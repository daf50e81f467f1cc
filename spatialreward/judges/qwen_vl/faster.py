"""Speeds up a model: batches computations that transformers does piecemeal."""

import functools
from typing import TYPE_CHECKING

from spatialreward.judges.qwen_vl import attention
from spatialreward.judges.qwen_vl.norm import faster_norm
from spatialreward.judges.qwen_vl.positions import token_positions
from spatialreward.judges.qwen_vl.vision import faster_vision

if TYPE_CHECKING:
    from transformers import PreTrainedModel


def make_faster(model: "PreTrainedModel") -> None:
    """Patch a model once, new or loaded, for training and for judging.

    Results are the same to rounding. Parameters and modules keep their names and shapes, so
    checkpoints, adapters and sharded optimisers are unaffected.
    """
    faster_vision(model.model.visual)
    attention.use(model.model.language_model)
    merge_size = model.config.vision_config.spatial_merge_size
    model.model.get_rope_index = functools.partial(token_positions, merge_size)
    for module in model.modules():
        if type(module).__name__.endswith("RMSNorm"):  # Each architecture has a class of its own.
            module.__class__ = faster_norm(type(module))
