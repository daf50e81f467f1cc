"""The interface of image editors for RL and evaluation, independent of the model."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, Self

from spatialreward.edits import EditTask

if TYPE_CHECKING:
    import torch
    from PIL import Image
    from torch import Tensor
    from torch.nn import Module


class Condition(Protocol):
    """Encoded sources and instructions, one row each, in the editor's own format.

    All rows have latents of one shape. Random values, such as a sampled latent of the source, are
    drawn once while encoding.
    """

    def __len__(self) -> int:
        """Number of rows."""
        ...

    def repeat(self, times: int) -> Self:
        """Each row ``times`` times in succession, for as many edits of one task."""
        ...

    def rows(self, chosen: "Tensor | slice") -> Self:
        """Some of the rows, by number or as a slice."""
        ...

    def to(self, device: "torch.device | str") -> Self:
        """The same on another device."""
        ...


class FlowEditor(Protocol):
    """A flow-matching editor: time runs from 0 (noise) to 1 (data), as in DESIGN.md section 5.

    A latent may have any shape after its batch: ``[B, C, H, W]``, or packed ``[B, L, C]``.
    """

    @property
    def device(self) -> "torch.device":
        """Device of the weights, required for latents and conditions."""
        ...

    @property
    def settings(self) -> Mapping[str, object]:
        """Its settings, such as guidance scales, as JSON; the tiny editor has none."""
        ...

    def encode(self, tasks: Sequence[EditTask]) -> Condition:
        """Prepare sources and instructions, once for all denoising steps.

        Raises:
            InvalidInputError: the editor does not support a task, or their latents differ in shape;
                names the task.
        """
        ...

    def noise(self, condition: Condition, generator: "torch.Generator") -> "Tensor":
        """Initial latents, one a row, ``[B, ...]``; the generator is on the CPU."""
        ...

    def times(self, num_steps: int, condition: Condition) -> list[float]:
        """The editor's own grid of ``num_steps + 1`` times, ascending from 0 to 1."""
        ...

    def velocity(
        self, latents: "Tensor", times_B: "Tensor", condition: Condition, guided: bool = True
    ) -> "Tensor":
        """Direction from noise to data, of the latents' shape.

        Args:
            latents: ``[B, ...]``.
            times_B: in 0..1, one a row.
            condition: ``B`` rows.
            guided: whether to apply the editor's guidance, if it has any.
        """
        ...

    def grid(self, condition: Condition) -> tuple[int, int]:
        """Height and width of the condition's latents, in positions."""
        ...

    def spread(self, map_Bhw: "Tensor", condition: Condition) -> "Tensor":
        """Expand a number per position to a factor of the latents.

        Args:
            map_Bhw: on the ``grid``, its first row at the top of the picture.
            condition: ``B`` rows.

        Returns:
            With as many dimensions as the latents, each of their size or 1, such as
            ``[B, 1, h, w]``, or ``[B, L, 1]`` for packed latents.
        """
        ...

    def decode(self, latents: "Tensor", condition: Condition) -> "list[Image.Image]":
        """RGB pictures of finished latents, one a row of the condition."""
        ...

    def trainable(self) -> "Module":
        """The module whose parameters with ``requires_grad`` RL may train."""
        ...

    def reference(self) -> "FlowEditor":
        """The editor before RL, unaffected by changes of its weights."""
        ...

    def save(self, folder: Path, card: Mapping[str, object]) -> None:
        """Write a checkpoint with its card, in the format of ``load_editor``."""
        ...
