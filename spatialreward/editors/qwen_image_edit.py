"""Qwen-Image-Edit, its 2509 ("Plus") and 2511 as a ``FlowEditor``, on diffusers' own classes."""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple, Self

import torch
from diffusers import (
    AutoencoderKLQwenImage,
    FlowMatchEulerDiscreteScheduler,
    QwenImageTransformer2DModel,
)
from PIL import Image
from pydantic import Field
from torch import Tensor
from transformers import PreTrainedTokenizerBase, Qwen2_5_VLForConditionalGeneration

from spatialreward.editors.components import load_model, load_scheduler, read_index
from spatialreward.editors.packed import (
    PATCH,
    Grid,
    PackedCondition,
    PackedEditor,
    Prompt,
    only_source,
    pack,
    pixels_of,
    unpack,
)
from spatialreward.editors.qwen_prompts import DROPPED_TOKENS, PictureProcessor
from spatialreward.edits import EditTask
from spatialreward.errors import InvalidInputError
from spatialreward.judges.qwen_vl.weights import read_object
from spatialreward.records import Record

PIPELINE, PLUS_PIPELINE = "QwenImageEditPipeline", "QwenImageEditPlusPipeline"
_MULTIPLE_PX = 32


class QwenEditConfig(Record):
    """Settings of Qwen-Image-Edit; call the diffusers pipeline with the same values to compare."""

    true_cfg_scale: float = Field(4.0, ge=1)
    """Above 1, adds a second pass with the negative prompt; the result keeps each token's norm from
    the first pass."""
    negative_prompt: str = " "
    num_pixels: int = Field(1024**2, ge=_MULTIPLE_PX**2)
    """Approximate area of the edit, and of sources after resizing."""
    num_text_pixels: int = Field(384**2, ge=_MULTIPLE_PX**2)
    """The same for the text encoder; editors before Plus show it the larger picture."""
    picture_positions: bool = True
    """Whether the text encoder gets rows and columns of a picture's tokens, as in its training.

    The pipelines of diffusers 0.42 omit them with transformers 5 (diffusers#14194): there, a
    picture's tokens are numbered like words."""


class QwenEditParts(NamedTuple):
    """The pipeline's components, by its own names."""

    transformer: QwenImageTransformer2DModel
    vae: AutoencoderKLQwenImage
    text_encoder: Qwen2_5_VLForConditionalGeneration
    processor: PictureProcessor
    scheduler: FlowMatchEulerDiscreteScheduler

    @property
    def tokenizer(self) -> PreTrainedTokenizerBase:
        """The processor's."""
        return self.processor.tokenizer


class QwenEditor(PackedEditor):
    """An editor for one source picture; Plus takes several and edits in the last one's size."""

    CONFIG = QwenEditConfig
    TARGETS = (
        *("to_q", "to_k", "to_v", "to_out.0"),
        *("add_q_proj", "add_k_proj", "add_v_proj", "to_add_out"),
        *("img_mlp.net.0.proj", "img_mlp.net.2", "txt_mlp.net.0.proj", "txt_mlp.net.2"),
    )

    def __init__(
        self,
        parts: QwenEditParts,
        config: QwenEditConfig,
        folder: Path,
        name: str = "",
        *,
        is_plus: bool,
    ) -> None:
        """Assemble the components; ``folder`` and ``name`` as for ``AdaptedEditor``."""
        super().__init__(parts.transformer, parts.scheduler, folder, name)
        self.parts = parts
        self.config = config
        self._is_plus = is_plus

    @classmethod
    def load(
        cls,
        folder: Path,
        config: QwenEditConfig | None = None,
        *,
        dtype: torch.dtype = torch.float32,
        device: torch.device | str = "cpu",
        name: str = "",
    ) -> Self:
        """Load a folder in diffusers' layout.

        Args:
            folder: saved by ``QwenImageEditPipeline`` or ``QwenImageEditPlusPipeline``.
            config: editing settings.
            dtype: of all weights.
            device: of all components.
            name: as for ``AdaptedEditor``.

        Raises:
            InvalidInputError: the folder is for another editor, a component is missing, or
                diffusers does not support one of its settings; names it.
        """
        index = read_index(folder, [PIPELINE, PLUS_PIPELINE])
        models = {
            part: load_model(kind, folder / part, dtype).to(device)
            for part, kind in {
                "transformer": QwenImageTransformer2DModel,
                "vae": AutoencoderKLQwenImage,
                "text_encoder": Qwen2_5_VLForConditionalGeneration,
            }.items()
        }
        path = folder / "transformer" / "config.json"
        try:
            check_source_times(read_object(path), models["transformer"])
        except InvalidInputError as error:
            raise InvalidInputError(f"{path}: {error}") from error
        parts = QwenEditParts(
            **models,
            processor=PictureProcessor.load(folder / "processor"),
            scheduler=load_scheduler(folder / "scheduler"),
        )
        is_plus = index["_class_name"] == PLUS_PIPELINE
        return cls(parts, config or QwenEditConfig(), folder, name, is_plus=is_plus)

    def _encode(self, task: EditTask) -> PackedCondition:
        sources = task.sources if self._is_plus else (only_source(task),)
        sizes = [size_of_area(self.config.num_pixels, one.size) for one in sources]
        resized = [
            one.resize(size, Image.Resampling.LANCZOS)
            for one, size in zip(sources, sizes, strict=True)
        ]
        shown = resized
        if self._is_plus:
            shown = [
                one.resize(
                    size_of_area(self.config.num_text_pixels, one.size), Image.Resampling.LANCZOS
                )
                for one in sources
            ]
        latents = [self._latents(one) for one in resized]
        grids = tuple(Grid(*(side // PATCH for side in one.shape[2:])) for one in latents)
        guided = self.config.true_cfg_scale > 1
        return PackedCondition(
            self._prompt(task.instruction, shown),
            self._prompt(self.config.negative_prompt, shown) if guided else None,
            torch.cat([pack(one) for one in latents], dim=1),
            (grids[-1], *grids),
        )

    def _prompt(self, text: str, pictures: list[Image.Image]) -> Prompt:
        """The text encoder's last hidden state, without the template's prefix."""
        inputs = self.parts.processor.inputs_of(text, pictures, numbered=self._is_plus)
        if not self.config.picture_positions:
            inputs.pop("mm_token_type_ids")
        output = self.parts.text_encoder.model(**inputs.to(self.device), use_cache=False)
        return Prompt(output.last_hidden_state[:, DROPPED_TOKENS:].to(self._dtype))

    def _latents(self, picture: Image.Image) -> Tensor:
        """The mode of the VAE's posterior, normalised, ``[1, C, h, w]``."""
        vae = self.parts.vae
        pixels = pixels_of(picture, self.device, vae.dtype)[:, :, None]
        latents = vae.encode(pixels).latent_dist.mode()
        mean, deviation = self._statistics(latents)
        return ((latents - mean) / deviation)[:, :, 0]

    def _decode(self, latents_1LC: Tensor, grid: Grid) -> Tensor:
        vae = self.parts.vae
        latents = unpack(latents_1LC, grid)[:, :, None].to(vae.dtype)
        mean, deviation = self._statistics(latents)
        # Dividing by the inverse, as the pipeline does, keeps the result bit-identical.
        return vae.decode(latents / (1 / deviation) + mean).sample[:, :, 0]

    def _statistics(self, latents: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and deviation of each channel in the VAE's training."""
        config = self.parts.vae.config
        mean, deviation = (
            torch.tensor(one).view(1, -1, 1, 1, 1).to(latents.device, latents.dtype)
            for one in (config.latents_mean, config.latents_std)
        )
        return mean, deviation

    def _predict(
        self, tokens_BSC: Tensor, timesteps_B: Tensor, prompt: Prompt, grids: tuple[Grid, ...]
    ) -> Tensor:
        return self.transformer(
            hidden_states=tokens_BSC,
            timestep=timesteps_B,
            encoder_hidden_states=prompt.features_BTD,
            encoder_hidden_states_mask=prompt.mask_BT,
            img_shapes=[[(1, *grid) for grid in grids]] * len(tokens_BSC),
            return_dict=False,
        )[0]

    def _guide(self, prediction_BLC: Tensor, negative_BLC: Tensor) -> Tensor:
        both = negative_BLC + self.config.true_cfg_scale * (prediction_BLC - negative_BLC)
        length_BL1 = torch.norm(prediction_BLC, dim=-1, keepdim=True)
        return both * (length_BL1 / torch.norm(both, dim=-1, keepdim=True))


def size_of_area(num_pixels: int, size: tuple[int, int]) -> tuple[int, int]:
    """Width and height in multiples of 32 with about this area and the aspect of ``size``.

    Raises:
        InvalidInputError: a side would be shorter than one multiple.
    """
    aspect = size[0] / size[1]
    width = math.sqrt(num_pixels * aspect)
    sides = [round(side / _MULTIPLE_PX) * _MULTIPLE_PX for side in (width, width / aspect)]
    if not all(sides):
        raise InvalidInputError(
            f"a picture of {size[0]} x {size[1]} px is too narrow for {num_pixels:,} px"
        )
    return sides[0], sides[1]


def check_source_times(stated: Mapping[str, Any], transformer: QwenImageTransformer2DModel) -> None:
    """Check that source tokens have the time that a config requests.

    Args:
        stated: the config as written; with ``zero_cond_t`` sources have time 0 (Edit-2511).
        transformer: built from it. A diffusers without support for the key drops it.

    Raises:
        InvalidInputError: they differ.
    """
    wanted = bool(stated.get("zero_cond_t", False))
    if wanted != bool(transformer.config.get("zero_cond_t", False)):
        raise InvalidInputError(
            f"zero_cond_t is {str(wanted).lower()}, which the installed diffusers does not know; "
            "expected a version whose QwenImageTransformer2DModel takes it"
        )
