"""The tiny editor's transformer: latents of noise and source, and words, in one sequence.

It predicts the finished latent as a change to the source's, so leaving the picture unchanged is
easy; the velocity follows from that prediction.
"""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from spatialreward.world.tiny_config import EditorNetworkConfig

# B edits, C latent channels, h w latents high and wide, N = h w, L words, S = L + N tokens, D width
_TIME_FREQUENCIES = 64
# The prediction is divided by 1 - t, which must not explode near the end.
MIN_TIME_LEFT = 0.05


class EditorNetwork(nn.Module):
    """Predicts a flow-matching editor's finished latent."""

    def __init__(self, config: EditorNetworkConfig, vocabulary_size: int) -> None:
        """Build a network that initially returns the source."""
        super().__init__()
        self.config = config
        num_patches = (config.picture_side // config.patch_side) ** 2
        self.latents = nn.Linear(config.latent_channels, config.width)
        self.source = nn.Linear(config.latent_channels, config.width)
        self.words = nn.Embedding(vocabulary_size, config.width)
        length = config.max_words + num_patches
        self.positions = nn.Parameter(torch.randn(length, config.width) * 0.1)
        self.time = nn.Sequential(
            nn.Linear(2 * _TIME_FREQUENCIES, config.width),
            nn.SiLU(),
            nn.Linear(config.width, config.width),
            nn.SiLU(),
        )
        self.layers = nn.ModuleList(_Layer(config) for _ in range(config.num_layers))
        self.norm = nn.LayerNorm(config.width)
        self.change = nn.Linear(config.width, config.latent_channels)
        nn.init.zeros_(self.change.weight)
        nn.init.zeros_(self.change.bias)

    def forward(
        self,
        latents_BChw: Tensor,
        times_B: Tensor,
        source_BChw: Tensor,
        words_BL: Tensor,
        mask_BL: Tensor,
    ) -> Tensor:
        """The predicted finished latent, ``[B, C, h, w]``."""
        patches = self.latents(_in_a_row(latents_BChw)) + self.source(_in_a_row(source_BChw))
        num_words = words_BL.shape[1]
        patch_positions = self.positions[self.config.max_words :]
        tokens_BSD = torch.cat(
            [self.words(words_BL) + self.positions[:num_words], patches + patch_positions], dim=1
        )
        visible_BS = torch.cat([mask_BL, mask_BL.new_ones(len(mask_BL), patches.shape[1])], dim=1)
        time_BD = self.time(_waves(times_B))
        for layer in self.layers:
            tokens_BSD = layer(tokens_BSD, time_BD, visible_BS[:, None, None, :])
        change_BND = self.change(self.norm(tokens_BSD[:, num_words:]))
        return source_BChw + change_BND.transpose(1, 2).view_as(source_BChw)


class _Layer(nn.Module):
    """Attention and a feed-forward part, each scaled, shifted and gated by the time."""

    def __init__(self, config: EditorNetworkConfig) -> None:
        super().__init__()
        width = config.width
        self._heads = config.num_heads
        self.norm_1 = nn.LayerNorm(width, elementwise_affine=False)
        self.norm_2 = nn.LayerNorm(width, elementwise_affine=False)
        self.query_key_value = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)
        self.feed_forward = nn.Sequential(
            nn.Linear(width, 4 * width), nn.GELU(approximate="tanh"), nn.Linear(4 * width, width)
        )
        self.modulation = nn.Linear(width, 6 * width)
        nn.init.zeros_(self.modulation.weight)
        with torch.no_grad():
            # Open gates: a network this shallow trains faster so than from the identity.
            self.modulation.bias.copy_(torch.tensor([0.0, 0, 1, 0, 0, 1]).repeat_interleave(width))

    def forward(self, tokens_BSD: Tensor, time_BD: Tensor, visible: Tensor) -> Tensor:
        parts = self.modulation(time_BD)[:, None].chunk(6, dim=-1)
        scale_1, shift_1, gate_1, scale_2, shift_2, gate_2 = parts
        normed = self.norm_1(tokens_BSD) * (1 + scale_1) + shift_1
        tokens_BSD = tokens_BSD + gate_1 * self._attend(normed, visible)
        normed = self.norm_2(tokens_BSD) * (1 + scale_2) + shift_2
        return tokens_BSD + gate_2 * self.feed_forward(normed)

    def _attend(self, tokens_BSD: Tensor, visible: Tensor) -> Tensor:
        batch, length, width = tokens_BSD.shape
        projected = self.query_key_value(tokens_BSD)
        query, key, value = projected.view(batch, length, 3, self._heads, -1).permute(2, 0, 3, 1, 4)
        mixed = functional.scaled_dot_product_attention(query, key, value, attn_mask=visible)
        return self.out(mixed.transpose(1, 2).reshape(batch, length, width))


def velocity_of(finished: Tensor, latents: Tensor, times_B: Tensor) -> Tensor:
    """Velocity from ``latents`` at ``times_B`` to the finished ones at time 1."""
    left_B = (1 - times_B).clamp(min=MIN_TIME_LEFT)
    return (finished - latents) / left_B[:, None, None, None]


def _waves(times_B: Tensor) -> Tensor:
    """Sines and cosines of the time, ``[B, 2 F]``."""
    exponents = torch.arange(_TIME_FREQUENCIES, device=times_B.device) / _TIME_FREQUENCIES
    angles = 1000 * times_B[:, None] * torch.exp(-math.log(10_000) * exponents)
    return torch.cat([angles.sin(), angles.cos()], dim=1)


def _in_a_row(latents_BChw: Tensor) -> Tensor:
    """``[B, C, h, w]`` to ``[B, N, C]``."""
    return latents_BChw.flatten(2).transpose(1, 2)
