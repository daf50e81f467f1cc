import pytest
import torch
from transformers.models.qwen3_vl.modeling_qwen3_vl import Qwen3VLTextRMSNorm

from spatialreward.judges.qwen_vl.norm import faster_norm


def both(size):
    torch.manual_seed(0)
    stock, fast = (Qwen3VLTextRMSNorm(size) for _ in range(2))
    torch.nn.init.normal_(stock.weight)
    fast.load_state_dict(stock.state_dict())
    fast.__class__ = faster_norm(type(fast))
    return stock, fast


@pytest.mark.parametrize("shape", [(3, 5, 16), (2, 4, 3, 8)])
def test_output_and_gradients_are_those_of_transformers(shape):
    found = []
    norms = both(shape[-1])
    start, direction = torch.randn(shape), torch.randn(shape)
    for norm in norms:
        x = start.clone().requires_grad_()
        output = norm(x)
        output.backward(direction)
        found.append((output.detach(), x.grad, norm.weight.grad))
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(one, other)


def test_a_frozen_weight_gets_no_gradient():
    _, fast = both(8)
    fast.weight.requires_grad_(False)
    x = torch.randn(2, 8, requires_grad=True)
    fast(x).sum().backward()
    assert x.grad is not None
    assert fast.weight.grad is None


def test_16_bits_are_left_to_transformers():
    stock, fast = (one.bfloat16() for one in both(8))
    x = torch.randn(2, 8, dtype=torch.bfloat16)
    assert fast(x).tolist() == stock(x).tolist()
