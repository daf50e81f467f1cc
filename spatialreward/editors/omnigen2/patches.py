"""Converts latents to tokens, and computes the position of each token in a sequence."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

# N tokens, p side of a patch, h w rows and columns of patches, A = 3 axes, D size of a head

Grid = tuple[int, int]
"""Rows and columns of a picture's patches."""
THETA = 10_000.0


def to_patches(latent_CHW: Tensor, side: int) -> Tensor:
    """Patches in reading order, ``[N, p * p * C]``: row, column, channel, the last one fastest."""
    channels, height, width = latent_CHW.shape
    split = latent_CHW.view(channels, height // side, side, width // side, side)
    return split.permute(1, 3, 2, 4, 0).reshape(-1, side * side * channels)


def from_patches(patches_ND: Tensor, grid: Grid, side: int) -> Tensor:
    """The inverse of ``to_patches``, ``[C, H, W]``."""
    rows, columns = grid
    split = patches_ND.view(rows, columns, side, side, -1)
    return split.permute(4, 0, 2, 1, 3).reshape(-1, rows * side, columns * side)


def grid_of(latent_CHW: Tensor, side: int) -> Grid:
    """Rows and columns of a latent's patches."""
    return latent_CHW.shape[1] // side, latent_CHW.shape[2] // side


class Positions(NamedTuple):
    """Positions of one sample's tokens, three whole numbers each."""

    text_NA: Tensor
    references_NA: tuple[Tensor, ...]
    """One a reference picture."""
    target_NA: Tensor

    @classmethod
    def of(
        cls,
        num_text: int,
        references: Sequence[Grid],
        target: Grid,
        device: torch.device | str = "cpu",
    ) -> "Positions":
        """Text advances on all three axes; each picture has one index on the first axis.

        A picture's index follows the previous one by that one's length, so the indices of pictures
        depend on the number of words.
        """
        text_N = torch.arange(num_text, device=device)
        number, placed = num_text, []
        for rows, columns in references:
            placed.append(_in_picture(number, (rows, columns), device))
            number += max(rows, columns)
        return cls(
            text_N[:, None].expand(-1, 3), tuple(placed), _in_picture(number, target, device)
        )


def _in_picture(number: int, grid: Grid, device: torch.device | str) -> Tensor:
    rows, columns = (torch.arange(size, device=device) for size in grid)
    places = torch.cartesian_prod(rows, columns)
    return torch.cat([torch.full_like(places[:, :1], number), places], dim=1)


def rotations(positions_BNA: Tensor, axes: Sequence[int]) -> Tensor:
    """Unit complex numbers ``[B, N, D / 2]`` that rotate a head's pairs, in double precision.

    Args:
        positions_BNA: of the tokens.
        axes: how many of a head's numbers belong to each axis.
    """
    angles = []
    for axis, size in enumerate(axes):
        steps = torch.arange(0, size, 2, dtype=torch.float64, device=positions_BNA.device)
        angles.append(positions_BNA[..., axis, None] * THETA ** (-steps / size))
    angles_BNd = torch.cat(angles, dim=-1)
    return torch.polar(torch.ones_like(angles_BNd), angles_BNd)


def rotate(heads_BNHD: Tensor, rotations_BNd: Tensor) -> Tensor:
    """Rotate the neighbouring pairs of each head, in the rotations' precision."""
    pairs_BNHd = torch.view_as_complex(heads_BNHD.float().unflatten(-1, (-1, 2)))
    turned = torch.view_as_real(pairs_BNHd * rotations_BNd.unsqueeze(2)).flatten(-2)
    return turned.to(heads_BNHD.dtype)
