"""What RL and evaluation need of an image editor, whatever model is behind it."""

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
    """Encoded sources and instructions, one row each; what they hold is the editor's own affair.

    All rows lead to latents of one shape. What is drawn while encoding, such as a latent of the
    source, is drawn once and stays.
    """

    def __len__(self) -> int:
        """Number of rows."""
        ...

    def repeat(self, times: int) -> Self:
        """Each row ``times`` in a row, for that many edits of one task."""
        ...

    def rows(self, chosen: "Tensor | slice") -> Self:
        """Some of the rows, by their numbers or as a slice."""
        ...

    def to(self, device: "torch.device | str") -> Self:
        """The same on another device."""
        ...


class FlowEditor(Protocol):
    """A flow-matching editor: time runs from 0 (noise) to 1 (data), as in DESIGN.md section 5.

    A latent may have any shape behind its batch: ``[B, C, H, W]``, or packed ``[B, L, C]``.
    """

    @property
    def device(self) -> "torch.device":
        """Where the weights are, and latents and conditions have to be."""
        ...

    @property
    def settings(self) -> Mapping[str, object]:
        """How it edits, such as its guidance scales, as JSON has it; the tiny editor has none."""
        ...

    def encode(self, tasks: Sequence[EditTask]) -> Condition:
        """Prepare sources and instructions, once for all denoising steps.

        Raises:
            InvalidInputError: a task is none for this editor, or their latents differ in shape;
                names the task.
        """
        ...

    def noise(self, condition: Condition, generator: "torch.Generator") -> "Tensor":
        """Latents to start from, one a row, ``[B, ...]``; the generator is a CPU's."""
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
            guided: whether the editor's guidance is applied, if it has any.
        """
        ...

    def grid(self, condition: Condition) -> tuple[int, int]:
        """Positions of the latents of a condition's rows, high and wide: their resolution."""
        ...

    def spread(self, map_Bhw: "Tensor", condition: Condition) -> "Tensor":
        """A number for each position as a factor of the latents.

        Args:
            map_Bhw: of the ``grid``, its first row at the top of the picture.
            condition: ``B`` rows.

        Returns:
            Of as many dimensions as the latents and of their size or 1 in each, such as
            ``[B, 1, h, w]``, or ``[B, L, 1]`` where latents are packed.
        """
        ...

    def decode(self, latents: "Tensor", condition: Condition) -> "list[Image.Image]":
        """RGB pictures of finished latents, one a row of the condition."""
        ...

    def trainable(self) -> "Module":
        """The module whose parameters with ``requires_grad`` RL may train."""
        ...

    def reference(self) -> "FlowEditor":
        """The editor that this one was before RL, whatever becomes of its weights."""
        ...

    def save(self, folder: Path, card: Mapping[str, object]) -> None:
        """Write a checkpoint with its card, as ``load_editor`` reads it."""
        ...
