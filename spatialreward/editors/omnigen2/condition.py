"""OmniGen2's encoded tasks."""

from dataclasses import dataclass, replace
from typing import Self

import torch
from torch import Tensor

# B rows, N tokens, D width of a text's features, C h w latent


@dataclass(frozen=True)
class OmniGen2Condition:
    """Features of instructions and latents of source pictures; all edits have one size."""

    text_BND: Tensor
    mask_BN: Tensor
    """1 for tokens, 0 for the padding after them."""
    empty_1ND: Tensor
    """Of the empty instruction, the same for all rows."""
    references: tuple[tuple[Tensor, ...], ...]
    """Latents ``[C, h, w]`` of each row's source pictures, sampled once while encoding."""
    latent_hw: tuple[int, int]
    """Of the edits."""
    picture_size: tuple[int, int]
    """Width and height of the edits in pixels."""

    def __len__(self) -> int:
        """Number of rows."""
        return len(self.references)

    def repeat(self, times: int) -> Self:
        """Each row ``times`` times in succession; shares the latents of the sources."""
        return self.rows(torch.arange(len(self)).repeat_interleave(times))

    def rows(self, chosen: Tensor | slice) -> Self:
        """Some of the rows, by number or as a slice."""
        numbers = torch.arange(len(self))[chosen.cpu() if isinstance(chosen, Tensor) else chosen]
        placed = numbers.to(self.text_BND.device)
        return replace(
            self,
            text_BND=self.text_BND[placed],
            mask_BN=self.mask_BN[placed],
            references=tuple(self.references[number] for number in numbers.tolist()),
        )

    def to(self, device: torch.device | str) -> Self:
        """The same on another device."""
        moved = {id(one): one.to(device) for some in self.references for one in some}
        return replace(
            self,
            text_BND=self.text_BND.to(device),
            mask_BN=self.mask_BN.to(device),
            empty_1ND=self.empty_1ND.to(device),
            references=tuple(tuple(moved[id(one)] for one in some) for some in self.references),
        )
