"""Layers of OmniGen2's transformer."""

from typing import NamedTuple

import torch
from diffusers.models.embeddings import TimestepEmbedding, get_timestep_embedding
from torch import Tensor, nn
from torch.nn import functional

from spatialreward.editors.omnigen2.patches import rotate

# B rows, N tokens, W width, H heads, D size of a head, T width of the time's embedding

_TIME_FREQUENCIES = 256
_LARGEST_TIME_WIDTH = 1024
_HEAD_NORM_EPS = 1e-5
_OUTPUT_NORM_EPS = 1e-6


class Sequences(NamedTuple):
    """Mask and positions of the rows in attention."""

    rotations_BNd: Tensor
    mask_B11N: Tensor | None
    """True for tokens, False for padding; None: no padding."""


class Attention(nn.Module):
    """Grouped-query attention within each row."""

    def __init__(self, width: int, num_heads: int, num_kv_heads: int) -> None:
        """Build the projections, all without bias."""
        super().__init__()
        size = width // num_heads
        self.head_size = size
        self.queries_per_key = num_heads // num_kv_heads
        self.to_q = nn.Linear(width, num_heads * size, bias=False)
        self.to_k = nn.Linear(width, num_kv_heads * size, bias=False)
        self.to_v = nn.Linear(width, num_kv_heads * size, bias=False)
        self.norm_q = nn.RMSNorm(size, eps=_HEAD_NORM_EPS)
        self.norm_k = nn.RMSNorm(size, eps=_HEAD_NORM_EPS)
        self.to_out = nn.ModuleList([nn.Linear(num_heads * size, width, bias=False)])

    def forward(self, tokens_BNW: Tensor, sequences: Sequences) -> Tensor:
        """Attended tokens, ``[B, N, W]``."""
        query, key, value = (
            project(tokens_BNW).unflatten(-1, (-1, self.head_size))
            for project in (self.to_q, self.to_k, self.to_v)
        )
        query = rotate(self.norm_q(query), sequences.rotations_BNd)
        key = rotate(self.norm_k(key), sequences.rotations_BNd)
        # Repeat keys here: some GPU kernels require as many keys as queries.
        key, value = (one.repeat_interleave(self.queries_per_key, dim=2) for one in (key, value))
        attended_BHND = functional.scaled_dot_product_attention(
            query.transpose(1, 2),
            key.transpose(1, 2),
            value.transpose(1, 2),
            attn_mask=sequences.mask_B11N,
        )
        return self.to_out[0](attended_BHND.transpose(1, 2).flatten(2))


class FeedForward(nn.Module):
    """SwiGLU with a float32 gate."""

    def __init__(self, width: int, inner: int) -> None:
        """Build the projections, all without bias."""
        super().__init__()
        self.linear_1 = nn.Linear(width, inner, bias=False)
        self.linear_2 = nn.Linear(inner, width, bias=False)
        self.linear_3 = nn.Linear(width, inner, bias=False)

    def forward(self, tokens_BNW: Tensor) -> Tensor:
        """Apply to each token separately, ``[B, N, W]``."""
        gate = functional.silu(self.linear_1(tokens_BNW).float()).to(tokens_BNW.dtype)
        return self.linear_2(gate * self.linear_3(tokens_BNW))


class ModulatedNorm(nn.Module):
    """The norm before attention, with the time modulation of the whole block."""

    def __init__(self, width: int, eps: float) -> None:
        """Start without effect of the time; the block's gates are then closed."""
        super().__init__()
        self.linear = nn.Linear(time_width(width), 4 * width)
        self.norm = nn.RMSNorm(width, eps=eps)
        nn.init.zeros_(self.linear.weight)
        nn.init.zeros_(self.linear.bias)

    def forward(self, tokens_BNW: Tensor, time_BT: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Scaled tokens, gate of attention, scale and gate of the feed-forward layer."""
        said_B1W = self.linear(functional.silu(time_BT)).unsqueeze(1)
        scale, gate, inner_scale, inner_gate = said_B1W.chunk(4, dim=-1)
        return self.norm(tokens_BNW) * (1 + scale), gate.tanh(), 1 + inner_scale, inner_gate.tanh()


class Block(nn.Module):
    """Attention and a feed-forward layer, each with a norm before and after it."""

    def __init__(
        self, width: int, num_heads: int, num_kv_heads: int, inner: int, eps: float, modulated: bool
    ) -> None:
        """Build the layers.

        Args:
            width: of a token.
            num_heads: of queries.
            num_kv_heads: of keys and values.
            inner: width of the feed-forward layer.
            eps: of the norms.
            modulated: whether the time modulates the block.
        """
        super().__init__()
        self.modulated = modulated
        self.attn = Attention(width, num_heads, num_kv_heads)
        self.feed_forward = FeedForward(width, inner)
        self.norm1 = ModulatedNorm(width, eps) if modulated else nn.RMSNorm(width, eps=eps)
        self.norm2 = nn.RMSNorm(width, eps=eps)
        self.ffn_norm1 = nn.RMSNorm(width, eps=eps)
        self.ffn_norm2 = nn.RMSNorm(width, eps=eps)

    def forward(
        self, tokens_BNW: Tensor, sequences: Sequences, time_BT: Tensor | None = None
    ) -> Tensor:
        """The block's output, ``[B, N, W]``; needs ``time_BT`` if modulated."""
        if not self.modulated:
            attended = self.attn(self.norm1(tokens_BNW), sequences)
            tokens_BNW = tokens_BNW + self.norm2(attended)
            return tokens_BNW + self.ffn_norm2(self.feed_forward(self.ffn_norm1(tokens_BNW)))
        scaled, gate, inner_scale, inner_gate = self.norm1(tokens_BNW, time_BT)
        tokens_BNW = tokens_BNW + gate * self.norm2(self.attn(scaled, sequences))
        inner = self.feed_forward(self.ffn_norm1(tokens_BNW) * inner_scale)
        return tokens_BNW + inner_gate * self.ffn_norm2(inner)


class TimeAndText(nn.Module):
    """Embeds the time of each row and the features of its text."""

    def __init__(self, width: int, text_width: int, eps: float, time_scale: float) -> None:
        """Build the layers; times are multiplied by ``time_scale``."""
        super().__init__()
        self.time_scale = time_scale
        self.timestep_embedder = TimestepEmbedding(_TIME_FREQUENCIES, time_width(width))
        self.caption_embedder = nn.Sequential(
            nn.RMSNorm(text_width, eps=eps), nn.Linear(text_width, width)
        )

    def forward(self, times_B: Tensor, text_BNC: Tensor) -> tuple[Tensor, Tensor]:
        """Embeddings of the times ``[B, T]`` and of the text ``[B, N, W]``."""
        waves_BF = get_timestep_embedding(
            times_B,
            _TIME_FREQUENCIES,
            flip_sin_to_cos=True,
            downscale_freq_shift=0,
            scale=self.time_scale,
        )
        return self.timestep_embedder(waves_BF.to(text_BNC.dtype)), self.caption_embedder(text_BNC)


class Output(nn.Module):
    """Maps tokens to the numbers of a patch."""

    def __init__(self, width: int, size: int) -> None:
        """Start at zero, so that a new model predicts zero."""
        super().__init__()
        self.linear_1 = nn.Linear(time_width(width), width)
        self.norm = nn.LayerNorm(width, eps=_OUTPUT_NORM_EPS, elementwise_affine=False)
        self.linear_2 = nn.Linear(width, size)
        for weight in (*self.linear_1.parameters(), *self.linear_2.parameters()):
            nn.init.zeros_(weight)

    def forward(self, tokens_BNW: Tensor, time_BT: Tensor) -> Tensor:
        """``[B, N, size]``."""
        scale_B1W = 1 + self.linear_1(functional.silu(time_BT)).unsqueeze(1)
        return self.linear_2(self.norm(tokens_BNW) * scale_B1W)


def time_width(width: int) -> int:
    """Width of the time's embedding, capped at a limit."""
    return min(width, _LARGEST_TIME_WIDTH)


def inner_width(width: int, multiple: int, factor: float | None) -> int:
    """Width of a feed-forward layer: four times the tokens', times a factor, rounded up."""
    inner = 4 * width if factor is None else int(4 * width * factor)
    return -(-inner // multiple) * multiple


def padded(rows: list[Tensor]) -> Tensor:
    """Pad rows of different lengths ``[N, ...]`` to one tensor ``[B, N, ...]``, with zeros."""
    return torch.nn.utils.rnn.pad_sequence(rows, batch_first=True)


def padding_mask(lengths: list[int], device: torch.device) -> Tensor | None:
    """True for tokens ``[B, 1, 1, N]``; None if all rows have the same length."""
    longest = max(lengths)
    if min(lengths) == longest:
        return None
    lengths_B1 = torch.tensor(lengths, device=device)[:, None]
    return (torch.arange(longest, device=device) < lengths_B1)[:, None, None]
