"""The tiny editor: latents, network, word tokenizer and checkpoint folder."""

import copy
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple, Self

import numpy as np
import torch
from PIL import Image
from pydantic import ValidationError
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer, models, pre_tokenizers, trainers
from torch import Tensor

from spatialreward.editors.sampling import step_times
from spatialreward.edits import EditTask
from spatialreward.errors import InvalidInputError
from spatialreward.validation import first_problem
from spatialreward.world.editor_codec import PatchCodec
from spatialreward.world.editor_network import EditorNetwork, velocity_of
from spatialreward.world.tiny_config import EditorNetworkConfig

CONFIG_FILE = "editor.json"
CARD_FILE = "card.json"
_WEIGHTS_FILE = "editor.safetensors"
_TOKENIZER_FILE = "words.json"
_PADDING, _UNKNOWN = "<pad>", "<unknown>"


class TinyCondition(NamedTuple):
    """Encoded sources and instructions."""

    source_BChw: Tensor
    words_BL: Tensor
    mask_BL: Tensor
    """True for words in ``words_BL``, False for padding."""

    def __len__(self) -> int:
        """Number of rows."""
        return len(self.source_BChw)

    def repeat(self, times: int) -> "TinyCondition":
        """Each row ``times`` times in succession."""
        return TinyCondition(*(part.repeat_interleave(times, dim=0) for part in self))

    def rows(self, chosen: Tensor | slice) -> "TinyCondition":
        """Some of the rows."""
        return TinyCondition(*(part[chosen] for part in self))

    def to(self, device: torch.device | str) -> "TinyCondition":
        """The same on another device."""
        return TinyCondition(*(part.to(device) for part in self))


class TinyEditor:
    """A flow-matching editor of small square pictures."""

    def __init__(self, network: EditorNetwork, codec: PatchCodec, tokenizer: Tokenizer) -> None:
        """Assemble the parts."""
        self.network = network
        self.codec = codec
        self._tokenizer = tokenizer

    @classmethod
    def untrained(cls, config: EditorNetworkConfig, instructions: Iterable[str], seed: int) -> Self:
        """An editor with random weights that knows the words of ``instructions``."""
        tokenizer = _build_tokenizer(instructions, config.max_words)
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            network = EditorNetwork(config, tokenizer.get_vocab_size())
            codec = PatchCodec(config).eval()
        return cls(network, codec, tokenizer)

    def with_network(self, network: EditorNetwork) -> Self:
        """This editor with other weights in its network."""
        return type(self)(network, self.codec, self._tokenizer)

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Load an editor's checkpoint.

        Raises:
            InvalidInputError: the folder holds none, or a malformed one.
        """
        path = folder / CONFIG_FILE
        if not path.is_file():
            raise InvalidInputError(f"{folder}: no editor here, expected {CONFIG_FILE}")
        try:
            config = EditorNetworkConfig.model_validate_json(path.read_text())
        except ValidationError as error:
            problem = first_problem(error, EditorNetworkConfig)
            raise InvalidInputError(f"{path}: {problem}") from error
        tokenizer = Tokenizer.from_file(str(folder / _TOKENIZER_FILE))
        editor = cls(
            EditorNetwork(config, tokenizer.get_vocab_size()), PatchCodec(config), tokenizer
        )
        editor._parts.load_state_dict(load_file(folder / _WEIGHTS_FILE))
        editor._parts.eval()
        return editor

    def save(self, folder: Path, card: Mapping[str, object]) -> None:
        """Write a checkpoint with its card."""
        folder.mkdir(parents=True, exist_ok=True)
        save_file(self._parts.state_dict(), folder / _WEIGHTS_FILE)
        self._tokenizer.save(str(folder / _TOKENIZER_FILE))
        (folder / CONFIG_FILE).write_text(self.network.config.model_dump_json(indent=2) + "\n")
        (folder / CARD_FILE).write_text(json.dumps(card, indent=2) + "\n")

    @property
    def latent_shape(self) -> tuple[int, int, int]:
        """``C, h, w``: the channels and grid of patches."""
        config = self.network.config
        side = config.picture_side // config.patch_side
        return config.latent_channels, side, side

    def trainable(self) -> EditorNetwork:
        """The network; the codec stays fixed."""
        return self.network

    def reference(self) -> Self:
        """A copy of this editor, unaffected by later changes of its network."""
        return self.with_network(copy.deepcopy(self.network))

    @property
    def device(self) -> torch.device:
        """Device of the weights."""
        return self.network.change.weight.device

    @property
    def settings(self) -> Mapping[str, object]:
        """None."""
        return {}

    def encode(self, tasks: Sequence[EditTask]) -> TinyCondition:
        """Sources as latents ``[B, C, h, w]`` and instructions as ``[B, L]`` word indices."""
        encoded = self._tokenizer.encode_batch([task.instruction.lower() for task in tasks])
        return TinyCondition(
            self.to_latents([task.sources[0] for task in tasks]),
            torch.tensor([one.ids for one in encoded]),
            torch.tensor([one.attention_mask for one in encoded], dtype=torch.bool),
        ).to(self.device)

    def noise(self, condition: TinyCondition, generator: torch.Generator) -> Tensor:
        """Initial latents, ``[B, C, h, w]``."""
        shape = (len(condition), *self.latent_shape)
        return torch.randn(shape, generator=generator).to(self.device)

    def times(self, num_steps: int, condition: TinyCondition) -> list[float]:
        """Evenly spaced times."""
        return step_times(num_steps, 1.0)

    @torch.no_grad()
    def to_latents(self, pictures: Sequence[Image.Image]) -> Tensor:
        """Latents ``[B, C, h, w]`` of pictures of any size."""
        return self.codec.encode(self.to_pixels(pictures).to(self.device))

    def to_pixels(self, pictures: Sequence[Image.Image]) -> Tensor:
        """Pictures as ``[B, 3, H, W]`` in -1..1, resized to the editor's side."""
        side = self.network.config.picture_side
        resized = [
            one if one.size == (side, side) else one.resize((side, side), Image.Resampling.BOX)
            for one in pictures
        ]
        pixels_BHW3 = torch.from_numpy(np.stack([np.asarray(one) for one in resized]))
        return pixels_BHW3.permute(0, 3, 1, 2).float() / 127.5 - 1

    def velocity(
        self, latents_BCHW: Tensor, times_B: Tensor, condition: TinyCondition, guided: bool = True
    ) -> Tensor:
        """Direction from noise to data, ``[B, C, h, w]``; there is no guidance."""
        finished = self.network(latents_BCHW, times_B, *condition)
        return velocity_of(finished, latents_BCHW, times_B)

    def grid(self, condition: TinyCondition) -> tuple[int, int]:
        """One position per patch."""
        return self.latent_shape[1:]

    def spread(self, map_Bhw: Tensor, condition: TinyCondition) -> Tensor:
        """One number for all channels of a patch, ``[B, 1, h, w]``."""
        return map_Bhw[:, None]

    @torch.no_grad()
    def decode(self, latents_BChw: Tensor, condition: TinyCondition) -> list[Image.Image]:
        """RGB pictures of finished latents."""
        pixels_B3HW = self.codec.decode(latents_BChw)
        bytes_B3HW = ((pixels_B3HW + 1) * 127.5).round().clamp(0, 255).to(torch.uint8)
        return [Image.fromarray(one) for one in bytes_B3HW.permute(0, 2, 3, 1).cpu().numpy()]

    @property
    def _parts(self) -> torch.nn.ModuleDict:
        return torch.nn.ModuleDict({"network": self.network, "codec": self.codec})


def _build_tokenizer(instructions: Iterable[str], max_words: int) -> Tokenizer:
    tokenizer = Tokenizer(models.WordLevel(unk_token=_UNKNOWN))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    trainer = trainers.WordLevelTrainer(
        special_tokens=[_PADDING, _UNKNOWN], min_frequency=2, show_progress=False
    )
    tokenizer.train_from_iterator((text.lower() for text in instructions), trainer)
    tokenizer.enable_padding(pad_id=0, pad_token=_PADDING)
    tokenizer.enable_truncation(max_words)
    return tokenizer
