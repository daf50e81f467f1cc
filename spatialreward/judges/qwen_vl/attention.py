"""Attention of one new token a row on a CPU, where it is most of the work of writing answers.

PyTorch's fused attention is made for many tokens at once; for one it takes more than twice as long
as two batched matrix products do. Everything else goes to the fused one.
"""

from typing import Any

import torch
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

NAME = "spatialreward_cpu"

# R rows, H heads, K key-value heads, G query heads a key-value head, L tokens so far, D head size


def _attend(
    module: torch.nn.Module,
    query_RHLD: torch.Tensor,
    key_RKLD: torch.Tensor,
    value_RKLD: torch.Tensor,
    attention_mask: torch.Tensor | None,
    scaling: float | None = None,
    **more: Any,
) -> tuple[torch.Tensor, None]:
    if query_RHLD.shape[2] != 1 or attention_mask is None or not key_RKLD.is_contiguous():
        return sdpa_attention_forward(
            module, query_RHLD, key_RKLD, value_RKLD, attention_mask, scaling=scaling, **more
        )
    rows, heads, _, size = query_RHLD.shape
    kv_heads, length = key_RKLD.shape[1:3]
    scale = size**-0.5 if scaling is None else scaling
    query = (query_RHLD * scale).reshape(rows * kv_heads, heads // kv_heads, size)
    key, value = (one.view(rows * kv_heads, length, size) for one in (key_RKLD, value_RKLD))
    scores = torch.bmm(query, key.transpose(1, 2)).view(rows, kv_heads, -1, length)
    weights = (scores + attention_mask).softmax(dim=-1).view(rows * kv_heads, -1, length)
    return torch.bmm(weights, value).view(rows, 1, heads, size), None


AttentionInterface.register(NAME, _attend)
AttentionMaskInterface.register(NAME, sdpa_mask)
