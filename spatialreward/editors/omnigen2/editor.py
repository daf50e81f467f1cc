"""OmniGen2 as a ``FlowEditor``: the published checkpoint, or another of its shape."""

import math
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple, Self

import torch
from diffusers import AutoencoderKL
from PIL import Image
from torch import Tensor
from transformers import AutoTokenizer, Qwen2_5_VLForConditionalGeneration
from transformers import PreTrainedTokenizerBase as Tokenizer

from spatialreward.editors.adapters import AdaptedEditor
from spatialreward.editors.components import INDEX_FILE, load_model, load_tokenizer, read_index
from spatialreward.editors.omnigen2.condition import OmniGen2Condition
from spatialreward.editors.omnigen2.config import OmniGen2Config
from spatialreward.editors.omnigen2.guidance import Given, guide, predictions_for
from spatialreward.editors.omnigen2.text import IMAGE_SYSTEM, PLAIN_SYSTEM, TextFeatures
from spatialreward.editors.omnigen2.transformer import MAX_REFERENCES, OmniGen2Transformer2DModel
from spatialreward.editors.pictures import resized, to_pictures, to_pixels
from spatialreward.editors.sampling import step_times
from spatialreward.edits import EditTask
from spatialreward.errors import InvalidInputError
from spatialreward.judges.qwen_vl.folder import own_chat_template

# B rows, C h w latent, N tokens of a text, H W pixels

PIPELINE = "OmniGen2Pipeline"
_CLASSES = {
    "transformer": "OmniGen2Transformer2DModel",
    "vae": "AutoencoderKL",
    "mllm": "Qwen2_5_VLForConditionalGeneration",
    "processor": "Qwen2_5_VLProcessor",
    # The publishers' own class; diffusers' class of this name reverses time.
    "scheduler": "FlowMatchEulerDiscreteScheduler",
}
_VAE_SCALE = 8
"""Pixels along one side of a latent's position."""


class OmniGen2Parts(NamedTuple):
    """The editor's components, by the published names."""

    transformer: OmniGen2Transformer2DModel
    vae: AutoencoderKL
    mllm: Qwen2_5_VLForConditionalGeneration
    tokenizer: Tokenizer


class OmniGen2Editor(AdaptedEditor):
    """An editor for one to five source pictures."""

    TARGETS = ("to_q", "to_k", "to_v", "to_out.0")
    CONFIG = OmniGen2Config

    def __init__(
        self, parts: OmniGen2Parts, config: OmniGen2Config, folder: Path, name: str = ""
    ) -> None:
        """Assemble the components; ``folder`` and ``name`` as for ``AdaptedEditor``."""
        super().__init__(parts.transformer, folder, name)
        self.config = config
        self._vae = parts.vae.eval()
        # Keep the language model only; the vision part is not needed.
        language_model = parts.mllm.model.language_model.eval()
        self._text = TextFeatures(language_model, parts.tokenizer, config.max_text_tokens)

    @classmethod
    def load(
        cls,
        folder: Path,
        config: OmniGen2Config | None = None,
        *,
        dtype: torch.dtype = torch.float32,
        device: torch.device | str = "cpu",
        name: str = "",
    ) -> Self:
        """Load a folder in the published layout.

        Args:
            folder: with ``transformer``, ``vae``, ``mllm`` and ``processor``.
            config: editing settings.
            dtype: of the transformer and the language model; the VAE computes in float32.
            device: of all components.
            name: as for ``AdaptedEditor``.

        Raises:
            InvalidInputError: the folder is for another editor, or a component is missing;
                names it.
        """
        _check_classes(folder)
        parts = OmniGen2Parts(
            load_model(OmniGen2Transformer2DModel, folder / "transformer", dtype).to(device),
            load_model(AutoencoderKL, folder / "vae", torch.float32).to(device),
            load_model(Qwen2_5_VLForConditionalGeneration, folder / "mllm", dtype).to(device),
            _load_tokenizer(folder / "processor"),
        )
        _check_widths(folder, parts)
        return cls(parts, config or OmniGen2Config(), folder, name)

    @torch.no_grad()
    def encode(self, tasks: Sequence[EditTask]) -> OmniGen2Condition:
        """Features of the instructions, and latents of the source pictures.

        The latents are sampled from the VAE's posterior, as published. The same picture always gets
        the same ones, independent of the batch.

        Raises:
            InvalidInputError: a task has too many or too small pictures, or its edit differs in
                size from the first one's; names the task.
        """
        sources, sizes = [], []
        for number, task in enumerate(tasks):
            try:
                sources.append(self._sources(task))
                sizes.append(self._edit_size(sources[-1]))
                if sizes[-1] != sizes[0]:
                    raise InvalidInputError(
                        f"its edit has {_px(sizes[-1])}, the first task's has {_px(sizes[0])}; "
                        "edits that are drawn together have one size"
                    )
            except InvalidInputError as error:
                raise InvalidInputError(f"task {task.id or number}: {error}") from error
        plain = self.config.unguided_system == "plain"
        text_BND, mask_BN = self._text.of([task.instruction for task in tasks], IMAGE_SYSTEM)
        empty_1ND, _ = self._text.of([""], PLAIN_SYSTEM if plain else IMAGE_SYSTEM)
        width, height = sizes[0]
        return OmniGen2Condition(
            text_BND,
            mask_BN,
            empty_1ND,
            tuple(tuple(self._to_latent(one) for one in some) for some in sources),
            (height // _VAE_SCALE, width // _VAE_SCALE),
            self.config.output_size or (width, height),
        )

    def noise(self, condition: OmniGen2Condition, generator: torch.Generator) -> Tensor:
        """Initial latents, ``[B, C, h, w]``."""
        shape = (len(condition), self.transformer.config.in_channels, *condition.latent_hw)
        return torch.randn(shape, generator=generator).to(self.device)

    def times(self, num_steps: int, condition: OmniGen2Condition) -> list[float]:
        """The published grid, which depends on the edit's area."""
        side_px = _VAE_SCALE * math.sqrt(math.prod(condition.latent_hw))
        return step_times(num_steps, side_px / self.config.shift_base_px)

    def velocity(
        self,
        latents_BChw: Tensor,
        times_B: Tensor,
        condition: OmniGen2Condition,
        guided: bool = True,
    ) -> Tensor:
        """Direction from noise to data, ``[B, C, h, w]``, in the latents' dtype."""
        config = self.config
        scales = (config.text_guidance, config.image_guidance) if guided else (1.0, 1.0)
        wanted = predictions_for(*scales)
        if config.guidance_in_one_pass:
            predictions = self._predict(latents_BChw, times_B, condition, wanted)
        else:
            predictions = [
                one
                for given in wanted
                for one in self._predict(latents_BChw, times_B, condition, (given,))
            ]
        return guide(predictions, *scales).to(latents_BChw.dtype)

    @torch.no_grad()
    def decode(self, latents_BChw: Tensor, condition: OmniGen2Condition) -> list[Image.Image]:
        """RGB pictures of finished latents, one by one."""
        vae, pictures = self._vae, []
        for latent_1Chw in latents_BChw.to(vae.dtype).split(1):
            scaled = latent_1Chw / vae.config.scaling_factor + (vae.config.shift_factor or 0)
            pictures += to_pictures(vae.decode(scaled).sample)
        return resized(pictures, condition.picture_size)

    def _predict(
        self,
        latents_BChw: Tensor,
        times_B: Tensor,
        condition: OmniGen2Condition,
        wanted: Sequence[Given],
    ) -> list[Tensor]:
        """Several predictions of all rows from a single pass, in order."""
        texts, masks, references = [], [], []
        for given in wanted:
            rows_BND, mask_BN = condition.text_BND, condition.mask_BN
            if not given.text:
                rows_BND = condition.empty_1ND.expand(len(condition), -1, -1)
                mask_BN = mask_BN.new_ones(rows_BND.shape[:2])
            texts += rows_BND.unbind()
            masks += mask_BN.unbind()
            references += condition.references if given.references else [()] * len(condition)
        pad = torch.nn.utils.rnn.pad_sequence
        predicted = self.transformer(
            latents_BChw.repeat(len(wanted), 1, 1, 1),
            times_B.repeat(len(wanted)),
            pad(texts, batch_first=True),
            pad(masks, batch_first=True),
            references,
        )
        return list(predicted.chunk(len(wanted)))

    def _sources(self, task: EditTask) -> list[Image.Image]:
        if len(task.sources) > MAX_REFERENCES:
            raise InvalidInputError(
                f"{len(task.sources)} source pictures, expected {MAX_REFERENCES} at most"
            )
        return [self.config.limit.resize(one) for one in task.sources]

    def _edit_size(self, sources: Sequence[Image.Image]) -> tuple[int, int]:
        asked = self.config.output_size
        return sources[0].size if asked is None else self.config.limit.fit(asked)

    def _to_latent(self, picture: Image.Image) -> Tensor:
        vae = self._vae
        seed = zlib.crc32(picture.tobytes(), self.config.source_seed)
        generator = torch.Generator().manual_seed(seed)
        pixels_13HW = to_pixels(picture)[None].to(self.device, vae.dtype)
        posterior = vae.encode(pixels_13HW).latent_dist
        noise = torch.randn(posterior.mean.shape, generator=generator).to(posterior.mean)
        [latent_Chw] = posterior.mean + posterior.std * noise
        return (latent_Chw - (vae.config.shift_factor or 0)) * vae.config.scaling_factor


def _check_classes(folder: Path) -> None:
    index = read_index(folder, [PIPELINE])
    for part, expected in _CLASSES.items():
        stated = index.get(part)
        # The library comes first; for the publishers' own classes it is a file name.
        found = stated[-1] if isinstance(stated, list) and stated else stated
        if found != expected:
            raise InvalidInputError(
                f"{folder / INDEX_FILE}: {part}: expected {expected}, got {found}"
            )


def _check_widths(folder: Path, parts: OmniGen2Parts) -> None:
    """Check that the components fit together; each is complete by itself."""
    taken = parts.transformer.config
    text, vae = parts.mllm.config.text_config, parts.vae.config
    for what, expected, found in (
        ("transformer: text_feat_dim", text.hidden_size, taken.text_feat_dim),
        ("transformer: in_channels", vae.latent_channels, taken.in_channels),
        ("vae: pixels along a latent", _VAE_SCALE, 2 ** (len(vae.block_out_channels) - 1)),
    ):
        if found != expected:
            raise InvalidInputError(f"{folder}: {what}: expected {expected}, got {found}")


def _load_tokenizer(folder: Path) -> Tokenizer:
    tokenizer = load_tokenizer(AutoTokenizer, folder)
    # Older processors store it in a separate file.
    tokenizer.chat_template = tokenizer.chat_template or own_chat_template(folder)
    if not tokenizer.chat_template:
        raise InvalidInputError(f"{folder}: the tokenizer has no chat template")
    return tokenizer


def _px(size: tuple[int, int]) -> str:
    return f"{size[0]} x {size[1]} px"
