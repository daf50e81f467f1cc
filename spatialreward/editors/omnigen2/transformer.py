"""OmniGen2's transformer, which diffusers lacks (arXiv 2506.18871).

A new implementation of the published behaviour with the same names of tensors and configuration
keys, so the public checkpoint and LoRAs for it load. Samples of one batch may differ in size, in
the number of reference pictures and in text length.
"""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from diffusers import ConfigMixin, ModelMixin
from diffusers.configuration_utils import register_to_config
from diffusers.loaders import PeftAdapterMixin
from torch import Tensor, nn

from spatialreward.editors.omnigen2.blocks import (
    Block,
    Output,
    Sequences,
    TimeAndText,
    inner_width,
    padded,
    padding_mask,
)
from spatialreward.editors.omnigen2.patches import (
    Positions,
    from_patches,
    grid_of,
    rotations,
    to_patches,
)
from spatialreward.errors import InvalidInputError

# B samples, C H W a latent, N tokens, W width, T width of the time's embedding, A = 3 axes

MAX_REFERENCES = 5
References = Sequence[Sequence[Tensor] | None]
"""Latents ``[C, h, w]`` of each sample's reference pictures; None or empty: none."""


class OmniGen2Transformer2DModel(ModelMixin, ConfigMixin, PeftAdapterMixin):
    """Predicts the direction from noise to data; time runs from 0 (noise) to 1 (data)."""

    _supports_gradient_checkpointing = True
    _no_split_modules = ["Block"]  # noqa: RUF012 - diffusers reads it off the class

    @register_to_config
    def __init__(
        self,
        patch_size: int = 2,
        in_channels: int = 16,
        out_channels: int | None = None,
        hidden_size: int = 2520,
        num_layers: int = 32,
        num_refiner_layers: int = 2,
        num_attention_heads: int = 21,
        num_kv_heads: int = 7,
        multiple_of: int = 256,
        ffn_dim_multiplier: float | None = None,
        norm_eps: float = 1e-5,
        axes_dim_rope: tuple[int, int, int] = (40, 40, 40),
        axes_lens: tuple[int, int, int] = (1024, 1664, 1664),
        text_feat_dim: int = 2048,
        timestep_scale: float = 1000.0,
    ) -> None:
        """Build the model; the defaults are the public checkpoint's.

        Args:
            patch_size: side of a patch, in latent positions.
            in_channels: of a latent.
            out_channels: of the prediction; None: those of a latent.
            hidden_size: width of a token.
            num_layers: over text and pictures together.
            num_refiner_layers: over the text, each reference and the noisy picture by itself.
            num_attention_heads: of queries.
            num_kv_heads: of keys and values.
            multiple_of: rounds up the feed-forward layers' width.
            ffn_dim_multiplier: of the feed-forward layers' width.
            norm_eps: of the blocks' norms.
            axes_dim_rope: numbers of a head that belong to each axis of the positions.
            axes_lens: stored with the checkpoint; positions of any size work here.
            text_feat_dim: width of the text's features.
            timestep_scale: multiplies times in 0..1.

        Raises:
            ValueError: the axes do not add up to a head.
        """
        super().__init__()
        if hidden_size != num_attention_heads * sum(axes_dim_rope):
            raise ValueError(
                f"axes_dim_rope {list(axes_dim_rope)}: expected a sum of hidden_size / "
                f"num_attention_heads = {hidden_size / num_attention_heads:g}"
            )
        patch_width = patch_size**2 * in_channels
        self.x_embedder = nn.Linear(patch_width, hidden_size)
        self.ref_image_patch_embedder = nn.Linear(patch_width, hidden_size)
        self.time_caption_embed = TimeAndText(hidden_size, text_feat_dim, norm_eps, timestep_scale)
        inner = inner_width(hidden_size, multiple_of, ffn_dim_multiplier)

        def blocks(number: int, modulated: bool = True) -> nn.ModuleList:
            sizes = hidden_size, num_attention_heads, num_kv_heads, inner
            return nn.ModuleList(Block(*sizes, norm_eps, modulated) for _ in range(number))

        self.noise_refiner = blocks(num_refiner_layers)
        self.ref_image_refiner = blocks(num_refiner_layers)
        self.context_refiner = blocks(num_refiner_layers, modulated=False)
        self.layers = blocks(num_layers)
        self.norm_out = Output(hidden_size, patch_size**2 * (out_channels or in_channels))
        self.image_index_embedding = nn.Parameter(0.02 * torch.randn(MAX_REFERENCES, hidden_size))
        self.gradient_checkpointing = False

    def forward(
        self,
        hidden_states: Tensor | Sequence[Tensor],
        timestep: Tensor,
        text_hidden_states: Tensor,
        text_attention_mask: Tensor,
        ref_image_hidden_states: References | None = None,
    ) -> Tensor | list[Tensor]:
        """Predict the direction of each sample.

        Args:
            hidden_states: noisy latents, ``[B, C, H, W]`` or a list of ``[C, H, W]`` whose sides
                are multiples of the patch's.
            timestep: ``[B]`` in 0..1.
            text_hidden_states: ``[B, N, text_feat_dim]``.
            text_attention_mask: ``[B, N]``; 1 for tokens, and 0 for the padding after them.
            ref_image_hidden_states: of each sample; None: no references.

        Returns:
            In the form of the input: one tensor or a list, of the same shapes.

        Raises:
            InvalidInputError: a sample has too many reference pictures.
        """
        side, dtype = self.config.patch_size, self.x_embedder.weight.dtype
        references = [list(some or ()) for some in ref_image_hidden_states or ()]
        references = references or [[] for _ in hidden_states]
        _check_number(references)
        lengths = text_attention_mask.sum(dim=1).tolist()
        text_BNC = text_hidden_states[:, : max(lengths)].to(dtype)
        time_BT, text_BNW = self.time_caption_embed(timestep, text_BNC)
        grids = [grid_of(one, side) for one in hidden_states]
        places = [
            Positions.of(length, [grid_of(one, side) for one in some], grid, text_BNC.device)
            for length, some, grid in zip(lengths, references, grids, strict=True)
        ]
        text = self._refined_text(text_BNW, places)
        seen = self._refined_references(references, places, time_BT)
        noisy = self._refined_noise(hidden_states, places, time_BT)
        joint = [torch.cat(parts) for parts in zip(text, seen, noisy, strict=True)]
        joint_BNW = padded(joint)
        sequences = self._attended(
            [torch.cat([one.text_NA, *one.references_NA, one.target_NA]) for one in places]
        )
        for block in self.layers:
            joint_BNW = self._run(block, joint_BNW, sequences, time_BT)
        patches_BND = self.norm_out(joint_BNW, time_BT)
        outputs = [
            from_patches(patches_ND[len(tokens) - rows * columns : len(tokens)], grid, side)
            for patches_ND, tokens, grid in zip(patches_BND, joint, grids, strict=True)
            for rows, columns in (grid,)
        ]
        return torch.stack(outputs) if isinstance(hidden_states, Tensor) else outputs

    def _refined_text(self, text_BNW: Tensor, places: list[Positions]) -> list[Tensor]:
        """Each sample's text without its padding."""
        sequences = self._attended([one.text_NA for one in places])
        for block in self.context_refiner:
            text_BNW = self._run(block, text_BNW, sequences)
        return [row[: len(one.text_NA)] for row, one in zip(text_BNW, places, strict=True)]

    def _refined_noise(
        self, latents: Tensor | Sequence[Tensor], places: list[Positions], time_BT: Tensor
    ) -> list[Tensor]:
        tokens_BNW = self.x_embedder(self._patches(latents))
        sequences = self._attended([one.target_NA for one in places])
        for block in self.noise_refiner:
            tokens_BNW = self._run(block, tokens_BNW, sequences, time_BT)
        return [row[: len(one.target_NA)] for row, one in zip(tokens_BNW, places, strict=True)]

    def _refined_references(
        self, references: list[list[Tensor]], places: list[Positions], time_BT: Tensor
    ) -> list[Tensor]:
        """All reference tokens of each sample; in the blocks each picture is a separate row."""
        if not any(references):
            return [time_BT.new_zeros(0, self.config.hidden_size) for _ in references]
        in_sample = [number for some in references for number in range(len(some))]
        of_sample = [sample for sample, some in enumerate(references) for _ in some]
        tokens_RNW = self.ref_image_patch_embedder(
            self._patches([one for some in references for one in some])
        )
        tokens_RNW = tokens_RNW + self.image_index_embedding[in_sample].unsqueeze(1)
        positions = [one for sample in places for one in sample.references_NA]
        sequences, time_RT = self._attended(positions), time_BT[of_sample]
        for block in self.ref_image_refiner:
            tokens_RNW = self._run(block, tokens_RNW, sequences, time_RT)
        rows = iter([row[: len(at)] for row, at in zip(tokens_RNW, positions, strict=True)])
        nothing = tokens_RNW.new_zeros(0, tokens_RNW.shape[-1])
        return [torch.cat([nothing, *(next(rows) for _ in some)]) for some in references]

    def _patches(self, latents: Tensor | Sequence[Tensor]) -> Tensor:
        """All patches, a row for each latent, padded to the longest."""
        rows = [to_patches(one, self.config.patch_size) for one in latents]
        return padded(rows).to(self.x_embedder.weight.dtype)

    def _attended(self, positions: list[Tensor]) -> Sequences:
        """Mask and rotations for padded rows, from the positions of their tokens."""
        rotations_BNd = rotations(padded(positions), self.config.axes_dim_rope)
        mask = padding_mask([len(one) for one in positions], rotations_BNd.device)
        return Sequences(rotations_BNd, mask)

    def _run(self, block: Callable[..., Tensor], *inputs: Any) -> Tensor:
        if torch.is_grad_enabled() and self.gradient_checkpointing:
            return self._gradient_checkpointing_func(block, *inputs)
        return block(*inputs)


def _check_number(references: list[list[Tensor]]) -> None:
    for sample, some in enumerate(references):
        if len(some) > MAX_REFERENCES:
            raise InvalidInputError(
                f"sample {sample}: {len(some)} reference pictures, expected {MAX_REFERENCES} "
                "at most"
            )
