"""Common base of editors on diffusers' classes; each adds its text, sizes and guidance.

Their networks use sigma, which falls from 1 (noise) to 0 (data), and predict noise - data. This
module converts both: t = 1 - sigma, v = -prediction. Latents are packed: a token for 2 x 2 numbers
of each channel. Tokens of the source pictures follow the noisy ones.
"""

import logging
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, Self

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional

from spatialreward.editors.adapters import AdaptedEditor
from spatialreward.editors.pictures import to_pictures, to_pixels
from spatialreward.edits import EditTask
from spatialreward.errors import InvalidInputError

if TYPE_CHECKING:
    from diffusers import FlowMatchEulerDiscreteScheduler, ModelMixin
    from transformers import BatchEncoding, PreTrainedTokenizerBase

# B rows, L tokens of the noisy picture, S of its sources, T of a text, C numbers a token, D width,
# h w latent high and wide
PATCH = 2
_LOGGER = logging.getLogger(__name__)


class Grid(NamedTuple):
    """Tokens of one picture."""

    rows: int
    columns: int

    @property
    def num_tokens(self) -> int:
        """Total number of tokens."""
        return self.rows * self.columns


class Prompt(NamedTuple):
    """An encoded instruction."""

    features_BTD: Tensor
    mask_BT: Tensor | None = None
    """True for features, False for padding; None: no padding."""
    pooled_BD: Tensor | None = None
    """Of the whole instruction, if the network uses it."""


@dataclass(frozen=True)
class PackedCondition:
    """Encoded sources and instructions; all rows have pictures of the same sizes."""

    prompt: Prompt
    negative: Prompt | None
    """Prompt of the second pass of guidance; None: no second pass."""
    sources_BSC: Tensor
    """Tokens of the source pictures, one picture after the other."""
    grids: tuple[Grid, ...]
    """Of the noisy picture, then of each source."""

    def __len__(self) -> int:
        """Number of rows."""
        return len(self.sources_BSC)

    def repeat(self, times: int) -> Self:
        """Each row ``times`` times in succession."""
        return self._each(lambda part: part.repeat_interleave(times, dim=0))

    def rows(self, chosen: Tensor | slice) -> Self:
        """Some of the rows."""
        return self._each(lambda part: part[chosen])

    def to(self, device: torch.device | str) -> Self:
        """The same on another device."""
        return self._each(lambda part: part.to(device))

    def _each(self, change: Callable[[Tensor], Tensor]) -> Self:
        def changed(prompt: Prompt) -> Prompt:
            return Prompt(*(None if part is None else change(part) for part in prompt))

        return replace(
            self,
            prompt=changed(self.prompt),
            negative=self.negative and changed(self.negative),
            sources_BSC=change(self.sources_BSC),
        )


def pack(latents_BChw: Tensor) -> Tensor:
    """Tokens ``[B, h w / 4, 4 C]``: channel, row in patch, column in patch, the last fastest."""
    rows, columns = (side // PATCH for side in latents_BChw.shape[2:])
    patches = latents_BChw.unflatten(3, (columns, PATCH)).unflatten(2, (rows, PATCH))
    return patches.permute(0, 2, 4, 1, 3, 5).flatten(3).flatten(1, 2)


def unpack(tokens_BLC: Tensor, grid: Grid) -> Tensor:
    """Latents ``[B, C, h, w]``; the inverse of ``pack``."""
    patches = tokens_BLC.unflatten(2, (-1, PATCH, PATCH)).unflatten(1, grid)
    return patches.permute(0, 3, 1, 4, 2, 5).flatten(4).flatten(2, 3)


def linear_shift(num_tokens: int, scheduler: "FlowMatchEulerDiscreteScheduler") -> float:
    """The shift mu of FLUX.1 and Qwen-Image: linear in the number of noisy tokens."""
    config = scheduler.config
    slope = (config.max_shift - config.base_shift) / (
        config.max_image_seq_len - config.base_image_seq_len
    )
    return num_tokens * slope + (config.base_shift - slope * config.base_image_seq_len)


class PackedEditor(AdaptedEditor, ABC):
    """A ``FlowEditor`` on a transformer of diffusers."""

    def __init__(
        self,
        transformer: "ModelMixin",
        scheduler: "FlowMatchEulerDiscreteScheduler",
        folder: Path,
        name: str,
    ) -> None:
        """Assemble the common components."""
        super().__init__(transformer, folder, name)
        self._scheduler = scheduler
        self._dtype = transformer.dtype

    @torch.no_grad()
    def encode(self, tasks: Sequence[EditTask]) -> PackedCondition:
        """Prepare sources and instructions, task by task.

        Raises:
            InvalidInputError: the editor does not support a task, or the sizes of its pictures
                differ from those of the first one; names the task.
        """
        rows: list[PackedCondition] = []
        for number, task in enumerate(tasks):
            name = f"task {task.id or number}"
            try:
                row = self._encode(task)
            except InvalidInputError as error:
                raise InvalidInputError(f"{name}: {error}") from error
            if rows and row.grids != rows[0].grids:
                raise InvalidInputError(
                    f"{name}: its pictures make {_sizes(row)} tokens, those of the first task "
                    f"{_sizes(rows[0])}; tasks that are edited together need pictures of one size"
                )
            rows.append(row)
        return _joined(rows)

    def noise(self, condition: PackedCondition, generator: torch.Generator) -> Tensor:
        """Initial latents, ``[B, L, C]``; the same numbers as in the stock pipeline."""
        rows, columns = (side * PATCH for side in condition.grids[0])
        channels = condition.sources_BSC.shape[2] // PATCH**2
        shape = (len(condition), channels, rows, columns)
        return pack(torch.randn(shape, generator=generator)).to(self.device)

    def times(self, num_steps: int, condition: PackedCondition) -> list[float]:
        """The grid of the folder's scheduler, which depends on the number of tokens.

        The sigmas are float32 values. Between them and 1, times are exact, and so are the steps'
        lengths.
        """
        sigmas = np.linspace(1.0, 1 / num_steps, num_steps)
        shift = self._shift(condition.grids[0].num_tokens, num_steps)
        self._scheduler.set_timesteps(sigmas=sigmas, mu=shift)
        return [1 - sigma for sigma in self._scheduler.sigmas.tolist()]

    def velocity(
        self,
        latents_BLC: Tensor,
        times_B: Tensor,
        condition: PackedCondition,
        guided: bool = True,
    ) -> Tensor:
        """Direction from noise to data, ``[B, L, C]``, in the latents' dtype.

        Args:
            latents_BLC: packed.
            times_B: in 0..1. In float64 they keep all digits of the scheduler's sigmas; float32
                rounds sigmas below 0.5 to a multiple of 2^-24.
            condition: ``B`` rows.
            guided: whether to run the second pass, if there is one.
        """
        tokens = torch.cat([latents_BLC, condition.sources_BSC], dim=1).to(self._dtype)
        # A pipeline scales to thousands before casting, so rounding in 16 bits is the same.
        timesteps_B = ((1 - times_B).float() * 1000).to(self._dtype) / 1000

        def predicted(prompt: Prompt) -> Tensor:
            whole = self._predict(tokens, timesteps_B, prompt, condition.grids)
            return whole[:, : latents_BLC.shape[1]]

        prediction = predicted(condition.prompt)
        if guided and condition.negative is not None:
            prediction = self._guide(prediction, predicted(condition.negative))
        return -prediction.to(latents_BLC.dtype)

    @torch.no_grad()
    def decode(self, latents_BLC: Tensor, condition: PackedCondition) -> list[Image.Image]:
        """RGB pictures of finished latents, one a row."""
        rows = latents_BLC.split(1)
        return [to_pictures(self._decode(one, condition.grids[0]))[0] for one in rows]

    @abstractmethod
    def _encode(self, task: EditTask) -> PackedCondition:
        """Encode one row; raises InvalidInputError without the task's name."""

    @abstractmethod
    def _predict(
        self, tokens_BSC: Tensor, timesteps_B: Tensor, prompt: Prompt, grids: Sequence[Grid]
    ) -> Tensor:
        """Noise - data for all tokens; the noisy picture's come first."""

    @abstractmethod
    def _decode(self, latents_1LC: Tensor, grid: Grid) -> Tensor:
        """Pixels ``[1, 3, H, W]`` in -1..1."""

    @abstractmethod
    def _guide(self, prediction_BLC: Tensor, negative_BLC: Tensor) -> Tensor:
        """Combine both passes."""

    def _shift(self, num_tokens: int, num_steps: int) -> float:
        """The scheduler's mu for a number of noisy tokens."""
        return linear_shift(num_tokens, self._scheduler)


def pixels_of(picture: Image.Image, device: torch.device, dtype: torch.dtype) -> Tensor:
    """Pixels ``[1, 3, H, W]`` in -1..1 for a VAE.

    Keeps the channels last in memory, as diffusers' image processor does: convolutions round
    differently with channels first.
    """
    pixels = to_pixels(picture)[None].contiguous(memory_format=torch.channels_last)
    return pixels.to(device, dtype)


def padded_tokens(
    tokenizer: "PreTrainedTokenizerBase", text: str, num_tokens: int
) -> "BatchEncoding":
    """Exactly this many tokens of a text; warns if the text may be truncated."""
    tokens = tokenizer(
        [text], padding="max_length", max_length=num_tokens, truncation=True, return_tensors="pt"
    )
    if tokens.attention_mask.all():
        _LOGGER.warning("what lies beyond %s tokens is cut: %s", num_tokens, text)
    return tokens


def only_source(task: EditTask) -> Image.Image:
    """The picture of a task, for editors that take only one.

    Raises:
        InvalidInputError: there are several.
    """
    if len(task.sources) > 1:
        raise InvalidInputError(f"expected one source picture, got {len(task.sources)}")
    return task.sources[0]


def _sizes(condition: PackedCondition) -> str:
    return ", ".join(f"{grid.rows} x {grid.columns}" for grid in condition.grids)


def _joined(rows: Sequence[PackedCondition]) -> PackedCondition:
    negatives = [row.negative for row in rows if row.negative is not None]
    return PackedCondition(
        _joined_prompts([row.prompt for row in rows]),
        _joined_prompts(negatives) if negatives else None,
        torch.cat([row.sources_BSC for row in rows]),
        rows[0].grids,
    )


def _joined_prompts(prompts: Sequence[Prompt]) -> Prompt:
    """Stack prompts; pads shorter ones on the right and masks the padding."""
    lengths = [one.features_BTD.shape[1] for one in prompts]
    longest = max(lengths)
    mask_BT = None
    if min(lengths) < longest:
        device = prompts[0].features_BTD.device
        mask_BT = (
            torch.arange(longest, device=device) < torch.tensor(lengths, device=device)[:, None]
        )
    return Prompt(
        torch.cat(
            [
                functional.pad(one.features_BTD, (0, 0, 0, longest - length))
                for one, length in zip(prompts, lengths, strict=True)
            ]
        ),
        mask_BT,
        _cat_present(one.pooled_BD for one in prompts),
    )


def _cat_present(parts: Iterable[Tensor | None]) -> Tensor | None:
    present = [part for part in parts if part is not None]
    return torch.cat(present) if present else None
