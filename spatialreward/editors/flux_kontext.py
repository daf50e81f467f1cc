"""FLUX.1-Kontext as a ``FlowEditor``, on diffusers' own classes."""

from functools import cached_property
from pathlib import Path
from typing import NamedTuple, Self

import torch
from diffusers import AutoencoderKL, FlowMatchEulerDiscreteScheduler, FluxTransformer2DModel
from PIL import Image
from pydantic import Field
from torch import Tensor
from transformers import CLIPTextModel, CLIPTokenizer, T5EncoderModel, T5TokenizerFast

from spatialreward.editors.components import (
    load_model,
    load_scheduler,
    load_tokenizer,
    read_index,
)
from spatialreward.editors.packed import (
    PATCH,
    Grid,
    PackedCondition,
    PackedEditor,
    Prompt,
    only_source,
    pack,
    padded_tokens,
    pixels_of,
    unpack,
)
from spatialreward.editors.pictures import SizeLimit
from spatialreward.edits import EditTask
from spatialreward.errors import InvalidInputError
from spatialreward.records import Record

PIPELINE = "FluxKontextPipeline"
PREFERRED_SIZES = (
    *((672, 1568), (688, 1504), (720, 1456), (752, 1392), (800, 1328), (832, 1248)),
    *((880, 1184), (944, 1104), (1024, 1024), (1104, 944), (1184, 880), (1248, 832)),
    *((1328, 800), (1392, 752), (1456, 720), (1504, 688), (1568, 672)),
)
"""Widths and heights of sources in the editor's own training."""


class KontextConfig(Record):
    """Settings of FLUX.1-Kontext; call the diffusers pipeline with the same values to compare."""

    guidance_scale: float = 2.5
    """Guidance input of the network; needs no second pass and stays on in unguided steps."""
    true_cfg_scale: float = Field(1.0, ge=1)
    """Above 1, adds a second pass with the negative prompt: ``v_n + scale (v - v_n)``."""
    negative_prompt: str = ""
    max_pixels: int = Field(1024**2, ge=256)
    """Approximate area of edits, whose aspect is the source's."""
    auto_resize: bool = True
    """Whether to resize a source to the nearest of the 17 preferred sizes, all near 1024^2 pixels;
    otherwise it keeps its size, up to ``max_pixels``."""
    max_sequence_length: int = Field(512, ge=1, le=512)
    """Tokens of an instruction; shorter ones are padded, and attention includes the padding."""


class KontextParts(NamedTuple):
    """The pipeline's components, by its own names."""

    transformer: FluxTransformer2DModel
    vae: AutoencoderKL
    text_encoder: CLIPTextModel
    tokenizer: CLIPTokenizer
    text_encoder_2: T5EncoderModel
    tokenizer_2: T5TokenizerFast
    scheduler: FlowMatchEulerDiscreteScheduler


class KontextEditor(PackedEditor):
    """An editor for one source picture."""

    CONFIG = KontextConfig
    TARGETS = (
        *("to_q", "to_k", "to_v", "to_out.0"),
        *("add_q_proj", "add_k_proj", "add_v_proj", "to_add_out"),
    )

    def __init__(
        self, parts: KontextParts, config: KontextConfig, folder: Path, name: str = ""
    ) -> None:
        """Assemble the components; ``folder`` and ``name`` as for ``AdaptedEditor``."""
        super().__init__(parts.transformer, parts.scheduler, folder, name)
        self.parts = parts
        self.config = config
        self._multiple_px = PATCH * 2 ** (len(parts.vae.config.block_out_channels) - 1)

    @classmethod
    def load(
        cls,
        folder: Path,
        config: KontextConfig | None = None,
        *,
        dtype: torch.dtype = torch.float32,
        device: torch.device | str = "cpu",
        name: str = "",
    ) -> Self:
        """Load a folder in diffusers' layout.

        Args:
            folder: in the format of ``FluxKontextPipeline.save_pretrained``.
            config: editing settings.
            dtype: of all weights.
            device: of all components.
            name: as for ``AdaptedEditor``.

        Raises:
            InvalidInputError: the folder is for another editor, or a component is missing;
                names it.
        """
        read_index(folder, [PIPELINE])
        models = {
            part: load_model(kind, folder / part, dtype).to(device)
            for part, kind in {
                "transformer": FluxTransformer2DModel,
                "vae": AutoencoderKL,
                "text_encoder": CLIPTextModel,
                "text_encoder_2": T5EncoderModel,
            }.items()
        }
        parts = KontextParts(
            **models,
            tokenizer=load_tokenizer(CLIPTokenizer, folder / "tokenizer"),
            tokenizer_2=load_tokenizer(T5TokenizerFast, folder / "tokenizer_2"),
            scheduler=load_scheduler(folder / "scheduler"),
        )
        return cls(parts, config or KontextConfig(), folder, name)

    def output_size(self, size: tuple[int, int]) -> tuple[int, int]:
        """Width and height of the edit of a source of this width and height.

        Raises:
            InvalidInputError: a side would be shorter than one multiple.
        """
        aspect = size[0] / size[1]
        sides = (self.config.max_pixels * aspect) ** 0.5, (self.config.max_pixels / aspect) ** 0.5
        width, height = (round(side) // self._multiple_px * self._multiple_px for side in sides)
        if not width or not height:
            raise InvalidInputError(
                f"a picture of {size[0]} x {size[1]} px is too narrow for edits of "
                f"{self.config.max_pixels:,} px"
            )
        return width, height

    def source_size(self, size: tuple[int, int]) -> tuple[int, int]:
        """Width and height to which a source of this width and height is resized.

        Raises:
            InvalidInputError: a side would be shorter than one multiple.
        """
        if not self.config.auto_resize:
            limit = SizeLimit(max_pixels=self.config.max_pixels, multiple_px=self._multiple_px)
            return limit.fit(size)
        width, height = (side // self._multiple_px * self._multiple_px for side in size)
        if not width or not height:
            raise InvalidInputError(
                f"a source of {size[0]} x {size[1]} px has a side below {self._multiple_px} px"
            )
        preferred = min((abs(width / height - one[0] / one[1]), *one) for one in PREFERRED_SIZES)
        return preferred[1:]

    def _encode(self, task: EditTask) -> PackedCondition:
        source = only_source(task)
        width, height = self.output_size(source.size)
        resized = source.resize(self.source_size(source.size), Image.Resampling.LANCZOS)
        latents = self._latents(resized)
        return PackedCondition(
            self._prompt(task.instruction),
            self._negative if self.config.true_cfg_scale > 1 else None,
            pack(latents),
            (
                Grid(height // self._multiple_px, width // self._multiple_px),
                Grid(*(side // PATCH for side in latents.shape[2:])),
            ),
        )

    @cached_property
    def _negative(self) -> Prompt:
        """The negative prompt, the same for all tasks."""
        return self._prompt(self.config.negative_prompt)

    def _prompt(self, text: str) -> Prompt:
        """T5's features, with its padding and without a mask, and CLIP's summary."""
        parts = self.parts
        t5 = padded_tokens(parts.tokenizer_2, text, self.config.max_sequence_length)
        clip = parts.tokenizer(
            [text],
            padding="max_length",
            max_length=parts.tokenizer.model_max_length,
            truncation=True,
            return_tensors="pt",
        )
        features = parts.text_encoder_2(t5.input_ids.to(self.device)).last_hidden_state
        pooled = parts.text_encoder(clip.input_ids.to(self.device)).pooler_output
        return Prompt(features.to(self._dtype), None, pooled.to(self._dtype))

    def _latents(self, picture: Image.Image) -> Tensor:
        """The mode of the VAE's posterior, normalised, ``[1, C, h, w]``."""
        vae = self.parts.vae
        pixels = pixels_of(picture, self.device, vae.dtype)
        latents = vae.encode(pixels).latent_dist.mode()
        return (latents - vae.config.shift_factor) * vae.config.scaling_factor

    def _decode(self, latents_1LC: Tensor, grid: Grid) -> Tensor:
        vae = self.parts.vae
        latents = unpack(latents_1LC, grid) / vae.config.scaling_factor + vae.config.shift_factor
        return vae.decode(latents.to(vae.dtype)).sample

    def _predict(
        self, tokens_BSC: Tensor, timesteps_B: Tensor, prompt: Prompt, grids: tuple[Grid, ...]
    ) -> Tensor:
        scale = None
        if self.transformer.config.guidance_embeds:
            scale = torch.full((len(tokens_BSC),), self.config.guidance_scale, device=self.device)
        return self.transformer(
            hidden_states=tokens_BSC,
            timestep=timesteps_B,
            guidance=scale,
            pooled_projections=prompt.pooled_BD,
            encoder_hidden_states=prompt.features_BTD,
            txt_ids=torch.zeros(prompt.features_BTD.shape[1], 3, device=self.device),
            img_ids=_positions(grids, self.device),
            return_dict=False,
        )[0]

    def _guide(self, prediction_BLC: Tensor, negative_BLC: Tensor) -> Tensor:
        return negative_BLC + self.config.true_cfg_scale * (prediction_BLC - negative_BLC)


def _positions(grids: tuple[Grid, ...], device: torch.device) -> Tensor:
    """``[L + S, 3]``: index of the picture, 0 for the noisy one, row and column of each token."""

    def upto(end: int, start: int = 0) -> Tensor:
        return torch.arange(start, end, device=device, dtype=torch.float32)

    return torch.cat(
        [
            torch.cartesian_prod(upto(number + 1, number), upto(grid.rows), upto(grid.columns))
            for number, grid in enumerate(grids)
        ]
    )
