"""CPU attention for the two cases in which PyTorch's fused kernel is slow; it handles the rest.

One new token a row, which dominates generation: the fused kernel is made for many tokens at once
and takes more than twice as long as two batched matrix products. And the gradient in bfloat16: it
takes several times as long as in float32, which is also more exact.
"""

from typing import TYPE_CHECKING, Any

import torch
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

if TYPE_CHECKING:
    from transformers import PreTrainedModel

NAME = "spatialreward_cpu"

# R rows, H heads, K key-value heads, G query heads a key-value head, L tokens so far, D head size


def use(part: "PreTrainedModel") -> None:
    """Switch a vision tower or language model from the fused attention to this one."""
    if part.config._attn_implementation == "sdpa":
        part.set_attn_implementation(NAME)


def _attend(
    module: torch.nn.Module,
    query_RHLD: torch.Tensor,
    key_RKLD: torch.Tensor,
    value_RKLD: torch.Tensor,
    attention_mask: torch.Tensor | None,
    scaling: float | None = None,
    **more: Any,
) -> tuple[torch.Tensor, None]:
    parts = query_RHLD, key_RKLD, value_RKLD
    if _is_slow_to_differentiate(*parts):
        with torch.autocast("cpu", enabled=False):
            attended, _ = sdpa_attention_forward(
                module, *(one.float() for one in parts), attention_mask, scaling=scaling, **more
            )
        return attended.to(value_RKLD.dtype), None
    if not _is_one_token(*parts, attention_mask):
        return sdpa_attention_forward(module, *parts, attention_mask, scaling=scaling, **more)
    rows, heads, _, size = query_RHLD.shape
    kv_heads, length = key_RKLD.shape[1:3]
    scale = size**-0.5 if scaling is None else scaling
    query = (query_RHLD * scale).reshape(rows * kv_heads, heads // kv_heads, size)
    key, value = (one.view(rows * kv_heads, length, size) for one in (key_RKLD, value_RKLD))
    scores = torch.bmm(query, key.transpose(1, 2)).view(rows, kv_heads, -1, length)
    weights = (scores + attention_mask).softmax(dim=-1).view(rows * kv_heads, -1, length)
    return torch.bmm(weights, value).view(rows, 1, heads, size), None


def _is_slow_to_differentiate(*parts: torch.Tensor) -> bool:
    on_cpu = parts[0].device.type == "cpu"
    in_16_bits = torch.is_autocast_enabled("cpu") or parts[0].dtype == torch.bfloat16
    return on_cpu and in_16_bits and any(one.requires_grad for one in parts)


def _is_one_token(
    query_RHLD: torch.Tensor,
    key_RKLD: torch.Tensor,
    value_RKLD: torch.Tensor,
    attention_mask: torch.Tensor | None,
) -> bool:
    """Whether two matrix products suffice, with a mask that is added to scores."""
    return (
        query_RHLD.device.type == "cpu"
        and query_RHLD.shape[2] == 1
        and attention_mask is not None
        and attention_mask.is_floating_point()
        and key_RKLD.is_contiguous()
        and value_RKLD.is_contiguous()
    )


AttentionInterface.register(NAME, _attend)
AttentionMaskInterface.register(NAME, sdpa_mask)
