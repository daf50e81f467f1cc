"""FLUX.2-klein as a ``FlowEditor``, on diffusers' own classes."""

import math
from functools import cached_property
from pathlib import Path
from typing import NamedTuple, Self

import torch
from diffusers import AutoencoderKLFlux2, FlowMatchEulerDiscreteScheduler, Flux2Transformer2DModel
from PIL import Image
from pydantic import Field
from torch import Tensor
from transformers import Qwen2TokenizerFast, Qwen3ForCausalLM

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
    padded_tokens,
    pixels_of,
)
from spatialreward.edits import EditTask
from spatialreward.errors import InvalidInputError
from spatialreward.records import Record

PIPELINE = "Flux2KleinPipeline"
_TEXT_LAYERS = (9, 18, 27)
"""Hidden states of the text encoder to concatenate."""
_TIME_BETWEEN_PICTURES = 10
_MIN_SIDE_PX, _MAX_ASPECT = 64, 8


class KleinConfig(Record):
    """Settings of FLUX.2-klein; call the diffusers pipeline with the same values to compare."""

    guidance_scale: float = Field(4.0, ge=1)
    """Above 1, adds a second pass without the instruction: ``v_n + scale (v - v_n)``. No effect for
    a distilled editor."""
    max_pixels: int = Field(1024**2, ge=64**2)
    """Larger sources are scaled down; the edit has the size of the first one."""
    max_sequence_length: int = Field(512, ge=1)
    """Tokens of an instruction; shorter ones are padded, and attention includes the padding."""


class KleinParts(NamedTuple):
    """The pipeline's components, by its own names."""

    transformer: Flux2Transformer2DModel
    vae: AutoencoderKLFlux2
    text_encoder: Qwen3ForCausalLM
    tokenizer: Qwen2TokenizerFast
    scheduler: FlowMatchEulerDiscreteScheduler


def klein_shift(num_tokens: int, num_steps: int) -> float:
    """The shift mu of FLUX.2 by number of tokens, between a line for 10 and one for 200 steps."""
    of_200 = 0.00016927 * num_tokens + 0.45666666
    if num_tokens > 4300:
        return of_200
    a_step = (of_200 - (8.73809524e-05 * num_tokens + 1.89833333)) / 190
    return a_step * num_steps + (of_200 - 200 * a_step)


class KleinEditor(PackedEditor):
    """An editor for one or several source pictures; edits the first."""

    CONFIG = KleinConfig
    TARGETS = (
        *("to_q", "to_k", "to_v", "to_out.0"),
        *("add_q_proj", "add_k_proj", "add_v_proj", "to_add_out", "to_qkv_mlp_proj"),
    )

    def __init__(
        self,
        parts: KleinParts,
        config: KleinConfig,
        folder: Path,
        name: str = "",
        *,
        is_distilled: bool,
    ) -> None:
        """Assemble the components; ``folder`` and ``name`` as for ``AdaptedEditor``."""
        super().__init__(parts.transformer, parts.scheduler, folder, name)
        self.parts = parts
        self.config = config
        self._is_guided = config.guidance_scale > 1 and not is_distilled
        self._multiple_px = PATCH * 2 ** (len(parts.vae.config.block_out_channels) - 1)

    @classmethod
    def load(
        cls,
        folder: Path,
        config: KleinConfig | None = None,
        *,
        dtype: torch.dtype = torch.float32,
        device: torch.device | str = "cpu",
        name: str = "",
    ) -> Self:
        """Load a folder in diffusers' layout.

        Args:
            folder: in the format of ``Flux2KleinPipeline.save_pretrained``.
            config: editing settings.
            dtype: of all weights.
            device: of all components.
            name: as for ``AdaptedEditor``.

        Raises:
            InvalidInputError: the folder is for another editor, or a component is missing;
                names it.
        """
        index = read_index(folder, [PIPELINE])
        models = {
            part: load_model(kind, folder / part, dtype).to(device)
            for part, kind in {
                "transformer": Flux2Transformer2DModel,
                "vae": AutoencoderKLFlux2,
                "text_encoder": Qwen3ForCausalLM,
            }.items()
        }
        parts = KleinParts(
            **models,
            tokenizer=load_tokenizer(Qwen2TokenizerFast, folder / "tokenizer"),
            scheduler=load_scheduler(folder / "scheduler"),
        )
        is_distilled = bool(index.get("is_distilled", False))
        return cls(parts, config or KleinConfig(), folder, name, is_distilled=is_distilled)

    def noise(self, condition: PackedCondition, generator: torch.Generator) -> Tensor:
        """Initial latents, ``[B, L, C]``; the same numbers as in the stock pipeline."""
        shape = (len(condition), condition.sources_BSC.shape[2], *condition.grids[0])
        return _pack(torch.randn(shape, generator=generator)).to(self.device)

    def fitted(self, source: Image.Image) -> Image.Image:
        """A source as the VAE reads it: limited in size, and center-cropped to whole tokens.

        Raises:
            InvalidInputError: a side is below 64 px, or more than eight times as long as the other.
        """
        width, height = source.size
        if min(width, height) < _MIN_SIDE_PX:
            raise InvalidInputError(
                f"a source of {width} x {height} px is too small, expected {_MIN_SIDE_PX} px a side"
            )
        if max(width, height) > _MAX_ASPECT * min(width, height):
            raise InvalidInputError(
                f"a source of {width} x {height} px is too narrow, expected sides of at most "
                f"{_MAX_ASPECT}:1"
            )
        if width * height > self.config.max_pixels:
            scale = math.sqrt(self.config.max_pixels / (width * height))
            width, height = int(width * scale), int(height * scale)
            source = source.resize((width, height), Image.Resampling.LANCZOS)
        kept = [side // self._multiple_px * self._multiple_px for side in (width, height)]
        left, top = (width - kept[0]) // 2, (height - kept[1]) // 2
        return source.crop((left, top, left + kept[0], top + kept[1]))

    def _encode(self, task: EditTask) -> PackedCondition:
        latents = [self._latents(self.fitted(source)) for source in task.sources]
        grids = tuple(Grid(*one.shape[2:]) for one in latents)
        return PackedCondition(
            self._prompt(task.instruction),
            self._negative if self._is_guided else None,
            torch.cat([_pack(one) for one in latents], dim=1),
            (grids[0], *grids),
        )

    @cached_property
    def _negative(self) -> Prompt:
        """The empty instruction's prompt, the same for all tasks."""
        return self._prompt("")

    def _prompt(self, text: str) -> Prompt:
        """Three of the text encoder's layers concatenated; passes no mask on."""
        tokenizer, encoder = self.parts.tokenizer, self.parts.text_encoder
        turn = tokenizer.apply_chat_template(
            [{"role": "user", "content": text}],
            tokenize=False,
            add_generation_prompt=True,
            enable_thinking=False,
        )
        tokens = padded_tokens(tokenizer, turn, self.config.max_sequence_length).to(self.device)
        output = encoder.model(
            input_ids=tokens.input_ids,
            attention_mask=tokens.attention_mask,
            output_hidden_states=True,
            use_cache=False,
        )
        features = torch.cat([output.hidden_states[layer] for layer in _TEXT_LAYERS], dim=2)
        return Prompt(features.to(self._dtype))

    def _latents(self, picture: Image.Image) -> Tensor:
        """The mode of the VAE's posterior in patches, normalised, ``[1, 4 C, h / 2, w / 2]``."""
        vae = self.parts.vae
        pixels = pixels_of(picture, self.device, vae.dtype)
        latents = _to_patches(vae.encode(pixels).latent_dist.mode())
        mean, deviation = self._statistics(latents)
        return (latents - mean) / deviation

    def _decode(self, latents_1LC: Tensor, grid: Grid) -> Tensor:
        latents = latents_1LC.mT.unflatten(2, grid)
        mean, deviation = self._statistics(latents)
        latents = _from_patches(latents * deviation + mean)
        return self.parts.vae.decode(latents.to(self.parts.vae.dtype)).sample

    def _statistics(self, latents: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and deviation of each channel in the VAE's training."""
        vae = self.parts.vae
        mean = vae.bn.running_mean.view(1, -1, 1, 1)
        deviation = torch.sqrt(vae.bn.running_var.view(1, -1, 1, 1) + vae.config.batch_norm_eps)
        return mean.to(latents.dtype), deviation.to(latents.dtype)

    def _predict(
        self, tokens_BSC: Tensor, timesteps_B: Tensor, prompt: Prompt, grids: tuple[Grid, ...]
    ) -> Tensor:
        return self.transformer(
            hidden_states=tokens_BSC,
            timestep=timesteps_B,
            guidance=None,
            encoder_hidden_states=prompt.features_BTD,
            txt_ids=_positions(0, 1, 1, prompt.features_BTD.shape[1], self.device),
            img_ids=torch.cat(
                [
                    _positions(number * _TIME_BETWEEN_PICTURES, *grid, 1, self.device)
                    for number, grid in enumerate(grids)
                ]
            ),
            return_dict=False,
        )[0]

    def _shift(self, num_tokens: int, num_steps: int) -> float:
        return klein_shift(num_tokens, num_steps)

    def _guide(self, prediction_BLC: Tensor, negative_BLC: Tensor) -> Tensor:
        return negative_BLC + self.config.guidance_scale * (prediction_BLC - negative_BLC)


def _positions(time: int, rows: int, columns: int, length: int, device: torch.device) -> Tensor:
    """``[N, 4]``: time of the picture, row, column, position in the text."""
    sides = (torch.arange(side, device=device) for side in (rows, columns, length))
    return torch.cartesian_prod(torch.tensor([time], device=device), *sides)


def _pack(latents_BChw: Tensor) -> Tensor:
    return latents_BChw.flatten(2).mT


def _to_patches(latents_BChw: Tensor) -> Tensor:
    """``[B, 4 C, h / 2, w / 2]``: channel, row in patch, column in patch, the last fastest."""
    patches = latents_BChw.unflatten(3, (-1, PATCH)).unflatten(2, (-1, PATCH))
    return patches.permute(0, 1, 3, 5, 2, 4).flatten(1, 3)


def _from_patches(patches_BChw: Tensor) -> Tensor:
    split = patches_BChw.unflatten(1, (-1, PATCH, PATCH))
    return split.permute(0, 1, 4, 2, 5, 3).flatten(4).flatten(2, 3)
