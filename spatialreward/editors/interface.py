"""What RL and evaluation need of an image editor, whatever model is behind it."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, Protocol

from spatialreward.edits import EditTask

if TYPE_CHECKING:
    from PIL import Image
    from torch import Tensor
    from torch.nn import Module


class Condition(NamedTuple):
    """Encoded sources and instructions, one row each; what they hold is the editor's own affair."""

    source: "Tensor"
    words: "Tensor"
    mask: "Tensor"
    """True where ``words`` holds a word and no padding."""

    def repeat(self, times: int) -> "Condition":
        """Each row ``times`` in a row, for that many edits of one task."""
        return Condition(*(part.repeat_interleave(times, dim=0) for part in self))

    def rows(self, chosen: "Tensor | slice") -> "Condition":
        """Some of the rows."""
        return Condition(*(part[chosen] for part in self))


class FlowEditor(Protocol):
    """A flow-matching editor: time runs from 0 (noise) to 1 (data), as in DESIGN.md section 4."""

    @property
    def latent_shape(self) -> tuple[int, int, int]:
        """``C, H, W`` of one latent."""
        ...

    def encode(self, tasks: Sequence[EditTask]) -> Condition:
        """Prepare sources and instructions, once for all denoising steps."""
        ...

    def velocity(self, latents_BCHW: "Tensor", times_B: "Tensor", condition: Condition) -> "Tensor":
        """Direction from noise to data, ``[B, C, H, W]``."""
        ...

    def decode(self, latents_BCHW: "Tensor") -> "list[Image.Image]":
        """RGB pictures of finished latents."""
        ...

    def trainable(self) -> "Module":
        """The weights that RL may train."""
        ...

    def reference(self) -> "FlowEditor":
        """This editor as it is now, whatever becomes of its weights."""
        ...

    def save(self, folder: Path, card: Mapping[str, object]) -> None:
        """Write a checkpoint with its card, as ``load_editor`` reads it."""
        ...
