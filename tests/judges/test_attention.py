from types import SimpleNamespace

import pytest
import torch
from transformers.integrations.sdpa_attention import sdpa_attention_forward

from spatialreward.judges.qwen_vl.attention import _attend

ROWS, KV_HEADS, LENGTH, SIZE = 3, 2, 11, 8


@pytest.mark.parametrize("num_groups", [1, 3])
def test_one_token_attends_as_the_fused_attention_has_it(num_groups):
    torch.manual_seed(0)
    query = torch.randn(ROWS, KV_HEADS * num_groups, 1, SIZE)
    key, value = (torch.randn(ROWS, KV_HEADS, LENGTH, SIZE) for _ in range(2))
    mask = torch.zeros(ROWS, 1, 1, LENGTH)
    mask[0, ..., :4] = mask[1:, ..., 9:] = float("-inf")
    module = SimpleNamespace(num_key_value_groups=num_groups, is_causal=True)
    ours, _ = _attend(module, query, key, value, mask, scaling=0.3)
    fused, _ = sdpa_attention_forward(module, query, key, value, mask, scaling=0.3)
    assert ours.shape == fused.shape
    torch.testing.assert_close(ours, fused)
