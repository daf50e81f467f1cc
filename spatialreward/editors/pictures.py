"""Sizes and tensors of an editor's pictures."""

from collections.abc import Sequence

import numpy as np
import torch
from PIL import Image
from pydantic import Field
from torch import Tensor

from spatialreward.errors import InvalidInputError
from spatialreward.records import Record

# B pictures, H W pixels


class SizeLimit(Record):
    """Largest size of a picture; larger ones are scaled down, smaller ones never up."""

    max_pixels: int = Field(512 * 512, ge=256)
    """By area."""
    max_side_px: int | None = Field(None, ge=16)
    """Of the longer side."""
    multiple_px: int = Field(16, ge=1)
    """Both sides are multiples of it, rounded down after scaling."""

    def fit(self, size: tuple[int, int]) -> tuple[int, int]:
        """The size to resize a picture to, in pixels; keeps the aspect except for rounding.

        Args:
            size: of the picture, sides in either order.

        Raises:
            InvalidInputError: a side would be shorter than one multiple.
        """
        one, other = size
        ratio = min(1.0, (self.max_pixels / (one * other)) ** 0.5)
        if self.max_side_px is not None:
            ratio = min(ratio, self.max_side_px / max(size))
        step = self.multiple_px
        fitted = int(one * ratio) // step * step, int(other * ratio) // step * step
        if not all(fitted):
            raise InvalidInputError(
                f"a picture of {one} x {other} px has a side below {step} px once its area is "
                f"at most {self.max_pixels:,} px"
            )
        return fitted

    def resize(self, picture: Image.Image) -> Image.Image:
        """A picture in its fitted size, by Lanczos; the same object if it fits.

        Raises:
            InvalidInputError: as ``fit``.
        """
        size = self.fit(picture.size)
        if size == picture.size:
            return picture
        return picture.resize(size, Image.Resampling.LANCZOS)


def to_pixels(picture: Image.Image) -> Tensor:
    """An RGB picture as ``[3, H, W]`` in -1..1, rounded as in diffusers' image processor."""
    pixels_HW3 = np.asarray(picture.convert("RGB"), dtype=np.float32) / 255
    return 2 * torch.from_numpy(pixels_HW3).permute(2, 0, 1).contiguous() - 1


def to_pictures(pixels_B3HW: Tensor) -> list[Image.Image]:
    """RGB pictures of pixels in -1..1; clips values beyond."""
    shares_B3HW = (pixels_B3HW.float() * 0.5 + 0.5).clamp(0, 1)
    bytes_BHW3 = (shares_B3HW * 255).round().to(torch.uint8).permute(0, 2, 3, 1)
    return [Image.fromarray(one) for one in bytes_BHW3.cpu().numpy()]


def resized(pictures: Sequence[Image.Image], size: tuple[int, int]) -> list[Image.Image]:
    """Resize pictures to ``width, height`` in pixels, bilinearly; a no-op at that size."""
    return [
        one if one.size == size else one.resize(size, Image.Resampling.BILINEAR) for one in pictures
    ]
