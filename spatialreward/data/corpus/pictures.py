"""Pictures as they are packed: no larger than wanted, in a format that any reader knows."""

import io
from typing import Literal

from PIL import Image
from pydantic import Field

from spatialreward.images import encode_png
from spatialreward.records import Record


class PictureConfig(Record):
    """How pictures are kept."""

    longest_side: int = Field(1024, ge=32, le=8192)
    """Larger pictures are made smaller, in pixels."""
    format: Literal["jpeg", "png", "webp"] = "jpeg"
    """Of what is encoded; PNG is without loss and several times as large."""
    quality: int = Field(95, ge=50, le=100)
    """Of JPEG and WebP; JPEG keeps its colours at full resolution."""
    keep_files: bool = True
    """Files that are upright RGB and small enough stay as they are: encoding a JPEG anew would add
    to the noise that region proposal has to see through. Off: every picture is encoded."""


def packed(data: bytes, image: Image.Image, config: PictureConfig) -> bytes:
    """A picture's file as it is packed.

    Args:
        data: the file as the source has it.
        image: the same, decoded: upright RGB.
        config: how pictures are kept.
    """
    fits = max(image.size) <= config.longest_side
    if fits and config.keep_files and _is_plain(data, image):
        return data
    if not fits:
        scale = config.longest_side / max(image.size)
        size = tuple(max(1, round(side * scale)) for side in image.size)
        image = image.resize(size, Image.Resampling.LANCZOS)
    if config.format == "png":
        return encode_png(image)
    buffer = io.BytesIO()
    if config.format == "jpeg":
        image.save(buffer, "JPEG", quality=config.quality, subsampling="4:4:4")
    else:
        image.save(buffer, "WEBP", quality=config.quality)
    return buffer.getvalue()


def _is_plain(data: bytes, image: Image.Image) -> bool:
    """Whether any reader sees in the file what we decoded."""
    with Image.open(io.BytesIO(data)) as file:
        is_common = file.format in ("JPEG", "PNG", "WEBP")
        is_upright = file.getexif().get(0x0112, 1) == 1
        return is_common and is_upright and file.mode == "RGB" and file.size == image.size
