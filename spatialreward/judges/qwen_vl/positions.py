"""Positions of patches and tokens, cached by picture size or computed for a whole batch.

transformers loops over pictures in every step, which takes a tower of small pictures a tenth of its
forward pass; and over a batch's rows for the positions of their tokens.
"""

# B rows, L tokens of a row, N pictures, M tokens of all pictures

import functools
from typing import TYPE_CHECKING, Any

import torch
from transformers.vision_utils import (
    get_vision_interpolation_indices_and_weights,
    get_vision_position_ids,
)

if TYPE_CHECKING:
    from transformers import PreTrainedModel

_IMAGE = 1
_SIZES_KEPT = 128


def with_patch_positions(
    visual: "PreTrainedModel", args: tuple[Any, ...], more: dict[str, Any]
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """A vision tower's arguments with its patches' positions, which it then does not compute.

    A ``register_forward_pre_hook`` hook.
    """
    grids_N3 = more["grid_thw"] if "grid_thw" in more else args[1]
    of_pictures = [
        _patch_positions(
            *grid,
            visual.config.spatial_merge_size,
            # Qwen2.5-VL has no learned positions.
            getattr(visual, "num_grid_per_side", None),
        )
        for grid in grids_N3.tolist()
    ]
    joined = {
        name: torch.cat([one[name] for one in of_pictures]).to(grids_N3.device)
        for name in of_pictures[0]
    }
    return args, joined | more


@functools.lru_cache(maxsize=_SIZES_KEPT)
def _patch_positions(
    time: int, height: int, width: int, merge_size: int, table_side: int | None
) -> dict[str, torch.Tensor]:
    """By the names that transformers' towers use."""
    grid_13 = torch.tensor([[time, height, width]])
    found = {"position_ids": get_vision_position_ids(grid_13, merge_size)}
    if table_side is not None:
        indices, weights = get_vision_interpolation_indices_and_weights(
            grid_13,
            num_grid_per_side=table_side,
            mode="bilinear",
            align_corners=True,
            spatial_merge_size=merge_size,
        )
        found |= {"interp_indices": indices, "interp_weights": weights}
    return found


def token_positions(
    merge_size: int,
    input_ids: torch.Tensor,
    mm_token_type_ids: torch.Tensor,
    image_grid_thw: torch.Tensor | None = None,
    video_grid_thw: torch.Tensor | None = None,
    attention_mask: torch.Tensor | None = None,
    **_: Any,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Same result as ``get_rope_index`` of Qwen-VL models for pictures, without a loop over rows.

    A word's position follows its predecessor's. A picture's tokens have positions in a grid, and
    the text after it continues beyond the grid's longer side.

    Args:
        merge_size: patches a side that form one token.
        input_ids: ``[B, L]``.
        mm_token_type_ids: 1 for a picture's tokens, 0 for others.
        image_grid_thw: patches of the batch's pictures in order.
        video_grid_thw: None, because judges see no videos.
        attention_mask: 0 for padding, whose positions are 0.

    Returns:
        Positions in time, height and width, ``[3, B, L]``; and for each row the distance between
        its next position and the number of its tokens, ``[B, 1]``.

    Raises:
        ValueError: the pictures have more tokens, or fewer, than the rows.
    """
    assert video_grid_thw is None
    is_token_BL = torch.ones_like(input_ids) if attention_mask is None else attention_mask.long()
    is_token_BL = is_token_BL.cpu()
    is_picture_BL = (mm_token_type_ids.cpu() == _IMAGE) & is_token_BL.bool()
    grids_N3 = torch.zeros((0, 3)) if image_grid_thw is None else image_grid_thw.cpu()
    grids_N3 = grids_N3.long() // torch.tensor([1, merge_size, merge_size])
    sizes_N = grids_N3.prod(dim=1)
    at_M = is_picture_BL.flatten().nonzero()[:, 0]
    if len(at_M) != sizes_N.sum():
        raise ValueError(
            f"expected {sizes_N.sum()} tokens for {len(grids_N3)} pictures, got {len(at_M)}"
        )
    firsts_N = at_M[sizes_N.cumsum(0) - sizes_N]
    # Positions that each token takes: a picture's are counted at its first token.
    taken_BL = is_token_BL * ~is_picture_BL
    taken_BL.view(-1)[firsts_N] = grids_N3[:, 1:].amax(dim=1)
    begins_BL = taken_BL.cumsum(dim=1) - taken_BL
    places_3BL = (begins_BL * is_token_BL).repeat(3, 1, 1)
    offsets_3M = torch.cat([_EMPTY, *(_places(*one) for one in grids_N3.tolist())], dim=1)
    begins_M = begins_BL.flatten()[firsts_N].repeat_interleave(sizes_N)
    places_3BL.view(3, -1)[:, at_M] = begins_M + offsets_3M
    deltas_B = places_3BL.amax(dim=(0, 2)) + 1 - is_token_BL.sum(dim=1)
    return places_3BL.to(input_ids), deltas_B[:, None].to(input_ids.device)


_EMPTY = torch.zeros((3, 0), dtype=torch.long)


@functools.lru_cache(maxsize=_SIZES_KEPT)
def _places(time: int, height: int, width: int) -> torch.Tensor:
    """Positions of a picture's tokens, ``[3, tokens]``, row by row."""
    return torch.cartesian_prod(*(torch.arange(side) for side in (time, height, width))).T
