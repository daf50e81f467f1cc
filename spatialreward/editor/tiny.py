"""The tiny editor: network, word tokenizer and checkpoint folder."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Self

import numpy as np
import torch
from PIL import Image
from pydantic import ValidationError
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer, models, pre_tokenizers, trainers
from torch import Tensor

from spatialreward.editor.config import EditorNetworkConfig
from spatialreward.editor.interface import Condition, EditTask
from spatialreward.editor.network import EditorNetwork, velocity_of
from spatialreward.errors import InvalidInputError

CONFIG_FILE = "editor.json"
CARD_FILE = "card.json"
_WEIGHTS_FILE = "editor.safetensors"
_TOKENIZER_FILE = "words.json"
_PADDING, _UNKNOWN = "<pad>", "<unknown>"


class TinyEditor:
    """A flow-matching editor of small square pictures, in pixel space."""

    def __init__(self, network: EditorNetwork, tokenizer: Tokenizer) -> None:
        """Put network and tokenizer together."""
        self.network = network
        self._tokenizer = tokenizer

    @classmethod
    def untrained(cls, config: EditorNetworkConfig, instructions: Iterable[str], seed: int) -> Self:
        """An editor of random weights that knows the words of ``instructions``."""
        tokenizer = _build_tokenizer(instructions, config.max_words)
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            network = EditorNetwork(config, tokenizer.get_vocab_size())
        return cls(network, tokenizer)

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read an editor's checkpoint.

        Raises:
            InvalidInputError: the folder holds none, or a malformed one.
        """
        path = folder / CONFIG_FILE
        if not path.is_file():
            raise InvalidInputError(f"{folder}: no editor here, expected {CONFIG_FILE}")
        try:
            config = EditorNetworkConfig.model_validate_json(path.read_text())
        except ValidationError as error:
            raise InvalidInputError(f"{path}: {error}") from error
        tokenizer = Tokenizer.from_file(str(folder / _TOKENIZER_FILE))
        network = EditorNetwork(config, tokenizer.get_vocab_size())
        network.load_state_dict(load_file(folder / _WEIGHTS_FILE))
        return cls(network.eval(), tokenizer)

    def save(self, folder: Path, card: Mapping[str, object]) -> None:
        """Write a checkpoint with its card."""
        folder.mkdir(parents=True, exist_ok=True)
        save_file(self.network.state_dict(), folder / _WEIGHTS_FILE)
        self._tokenizer.save(str(folder / _TOKENIZER_FILE))
        (folder / CONFIG_FILE).write_text(self.network.config.model_dump_json(indent=2) + "\n")
        (folder / CARD_FILE).write_text(json.dumps(card, indent=2) + "\n")

    @property
    def latent_shape(self) -> tuple[int, int, int]:
        """``3, H, W``: latents are pictures in -1..1."""
        side = self.network.config.picture_side
        return 3, side, side

    def parameters(self) -> Iterator[torch.nn.Parameter]:
        """The layers' biases (as BitFit, arXiv 2106.10199), which is what RL may train.

        In pixel space the noise of an exploring step has thousands of independent elements; trained
        on few of them, all the weights together made edits worse (docs/editor.md has the runs).
        """
        return (
            weights
            for name, weights in self.network.layers.named_parameters()
            if name.endswith(".bias")
        )

    def encode(self, tasks: Sequence[EditTask]) -> Condition:
        """Sources as ``[B, 3, H, W]`` and instructions as ``[B, L]`` word numbers."""
        encoded = self._tokenizer.encode_batch([task.instruction.lower() for task in tasks])
        return Condition(
            source=self.to_latents([task.source for task in tasks]),
            words=torch.tensor([one.ids for one in encoded]),
            mask=torch.tensor([one.attention_mask for one in encoded], dtype=torch.bool),
        )

    def to_latents(self, pictures: Sequence[Image.Image]) -> Tensor:
        """Pictures as ``[B, 3, H, W]`` in -1..1, resized to the editor's side."""
        side = self.network.config.picture_side
        resized = [
            one if one.size == (side, side) else one.resize((side, side), Image.Resampling.BOX)
            for one in pictures
        ]
        pixels_BHW3 = torch.from_numpy(np.stack([np.asarray(one) for one in resized]))
        return pixels_BHW3.permute(0, 3, 1, 2).float() / 127.5 - 1

    def velocity(self, latents_BCHW: Tensor, times_B: Tensor, condition: Condition) -> Tensor:
        """Direction from noise to data, ``[B, 3, H, W]``."""
        finished = self.network(latents_BCHW, times_B, *condition)
        return velocity_of(finished, latents_BCHW, times_B)

    def decode(self, latents_BCHW: Tensor) -> list[Image.Image]:
        """RGB pictures of finished latents."""
        bytes_BCHW = ((latents_BCHW + 1) * 127.5).round().clamp(0, 255).to(torch.uint8)
        return [Image.fromarray(one) for one in bytes_BCHW.permute(0, 2, 3, 1).cpu().numpy()]


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
