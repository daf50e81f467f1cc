"""The vision tower of Qwen-VL models, in fewer and larger steps than in transformers."""

# S patches of all pictures, N pictures, L patches of one picture, H heads, D head size

import functools
from collections import defaultdict
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch.nn import functional
from transformers import AttentionInterface

from spatialreward.judges.qwen_vl import attention
from spatialreward.judges.qwen_vl.positions import with_patch_positions

if TYPE_CHECKING:
    from transformers import PreTrainedModel

_BATCHED = ("sdpa", attention.NAME)


def faster_vision(visual: "PreTrainedModel") -> None:
    """Patch a vision tower in place.

    Results are the same to rounding. Parameters and modules keep their names and shapes, so
    checkpoints, adapters and sharded optimisers are unaffected.
    """
    patches = visual.patch_embed.proj
    assert isinstance(patches, torch.nn.Conv3d)
    assert patches.stride == patches.kernel_size
    assert patches.padding == (0, 0, 0)
    patches.__class__ = PatchProjection
    for block in visual.blocks:
        block.attn.__class__ = _batched(type(block.attn))
    visual.register_forward_pre_hook(with_patch_positions, with_kwargs=True)
    attention.use(visual)


class PatchProjection(torch.nn.Conv3d):
    """The patch embedding as a matrix product.

    Its kernel is as large as its stride, so a patch is one output and needs no convolution.
    PyTorch's convolution is many times slower in bfloat16 on several GPUs (pytorch issue 174051)
    and has no backward pass there with some versions of cuDNN.
    """

    def forward(self, patches: torch.Tensor) -> torch.Tensor:
        """Embed patches ``[S, channels, time, height, width]`` of the kernel's own size."""
        assert patches.shape[2:] == self.kernel_size
        embedded = functional.linear(patches.flatten(1), self.weight.flatten(1), self.bias)
        return embedded[:, :, None, None, None]


class BatchedAttention(torch.nn.Module):
    """One attention call for all pictures of one size, where transformers has one each.

    FlashAttention takes pictures of all sizes in one call, and eager attention exposes the weights;
    both keep transformers' own implementation.
    """

    def forward(
        self,
        hidden_states: torch.Tensor,
        cu_seqlens: torch.Tensor,
        position_embeddings: tuple[torch.Tensor, torch.Tensor],
        **more: Any,
    ) -> torch.Tensor:
        """Attend within each picture's patches, ``[S, width]``."""
        if self.config._attn_implementation not in _BATCHED:
            return super().forward(
                hidden_states, cu_seqlens, position_embeddings=position_embeddings, **more
            )
        attend = functools.partial(self._attend, more)
        qkv_S3HD = self.qkv(hidden_states).unflatten(-1, (3, self.num_heads, -1))
        turned_S2HD = _turned(qkv_S3HD[:, :2], *position_embeddings)
        parts = (*turned_S2HD.unbind(1), qkv_S3HD[:, 2])
        lengths = cu_seqlens.diff().tolist()
        return self.proj(_by_length(attend, parts, lengths).flatten(1))

    def _attend(self, more: dict[str, Any], *parts_NLHD: torch.Tensor) -> torch.Tensor:
        interface = AttentionInterface()[self.config._attn_implementation]
        query_NHLD, key_NHLD, value_NHLD = (part.transpose(1, 2) for part in parts_NLHD)
        attended_NLHD, _ = interface(
            self,
            query_NHLD,
            key_NHLD,
            value_NHLD,
            attention_mask=None,
            scaling=self.scaling,
            dropout=self.attention_dropout if self.training else 0.0,
            is_causal=False,
            **more,
        )
        return attended_NLHD


@functools.cache
def _batched(attention_class: type[torch.nn.Module]) -> type[torch.nn.Module]:
    """Subclass an architecture's attention class; these differ in name only."""
    return type(f"Batched{attention_class.__name__}", (BatchedAttention, attention_class), {})


def _turned(x_S2HD: torch.Tensor, cos_SD: torch.Tensor, sin_SD: torch.Tensor) -> torch.Tensor:
    """Queries and keys with their rotary positions, which have 32 bits in every precision."""
    x32_S2HD = x_S2HD.float()
    first, second = x32_S2HD.chunk(2, dim=-1)
    swapped_S2HD = torch.cat((-second, first), dim=-1)
    cos, sin = (one[:, None, None].float() for one in (cos_SD, sin_SD))
    return (x32_S2HD * cos).addcmul(swapped_S2HD, sin).to(x_S2HD.dtype)


def _by_length(
    attend: functools.partial, parts_SHD: Sequence[torch.Tensor], lengths: Sequence[int]
) -> torch.Tensor:
    """Apply ``attend`` to the pictures of each length; returns ``[S, H, D]`` in their order."""
    if len(set(lengths)) == 1:
        grid = (len(lengths), lengths[0])
        return attend(*(part.unflatten(0, grid) for part in parts_SHD)).flatten(0, 1)
    alike: defaultdict[int, list[int]] = defaultdict(list)
    for number, length in enumerate(lengths):
        alike[length].append(number)
    pieces = [part.split(lengths) for part in parts_SHD]
    attended: dict[int, torch.Tensor] = {}
    for numbers in alike.values():
        stacked = (torch.stack([part[number] for number in numbers]) for part in pieces)
        attended.update(zip(numbers, attend(*stacked), strict=True))
    return torch.cat([attended[number] for number in range(len(lengths))])
