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


def test_a_mask_of_yes_and_no_is_the_fused_attentions():
    torch.manual_seed(0)
    query, key, value = (
        torch.randn(ROWS, KV_HEADS, length, SIZE) for length in (1, LENGTH, LENGTH)
    )
    mask = torch.ones(ROWS, 1, 1, LENGTH, dtype=torch.bool)
    mask[0, ..., :4] = False
    module = SimpleNamespace(num_key_value_groups=1, is_causal=True)
    ours, _ = _attend(module, query, key, value, mask)
    fused, _ = sdpa_attention_forward(module, query, key, value, mask)
    assert ours.tolist() == fused.tolist()


@pytest.mark.parametrize("autocast", [True, False])
def test_with_a_gradient_16_bits_attend_in_32(autocast):
    torch.manual_seed(0)
    dtype = torch.float32 if autocast else torch.bfloat16
    parts = [
        torch.randn(ROWS, KV_HEADS, LENGTH, SIZE, dtype=dtype, requires_grad=True) for _ in range(3)
    ]
    module = SimpleNamespace(num_key_value_groups=1, is_causal=True)
    with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
        ours, _ = _attend(module, *parts, None)
    exact, _ = sdpa_attention_forward(module, *(one.float() for one in parts), None)
    assert ours.dtype == dtype
    assert ours.tolist() == exact.to(dtype).tolist()
