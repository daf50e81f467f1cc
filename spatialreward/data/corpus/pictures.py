"""Prepares pictures for packing: limited in size, in a widely readable format."""

import io
from typing import Literal

from PIL import Image
from pydantic import Field

from spatialreward.images import encode_png
from spatialreward.records import Record


class PictureConfig(Record):
    """How to store pictures."""

    longest_side: int = Field(1024, ge=32, le=8192)
    """In pixels; larger pictures are scaled down."""
    format: Literal["jpeg", "png", "webp"] = "jpeg"
    """Of encoded pictures; PNG is lossless and several times as large."""
    quality: int = Field(95, ge=50, le=100)
    """Of JPEG and WebP; JPEG keeps colours at full resolution."""
    keep_files: bool = True
    """Keep files that are upright RGB and small enough: re-encoding a JPEG would add noise that
    disturbs region proposal. Off: encode every picture."""


def packed(data: bytes, image: Image.Image, config: PictureConfig) -> bytes:
    """A picture's file for packing.

    Args:
        data: the source's file.
        image: the same, decoded: upright RGB.
        config: how to store pictures.
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
    """Whether every reader decodes the file as we did."""
    with Image.open(io.BytesIO(data)) as file:
        is_common = file.format in ("JPEG", "PNG", "WEBP")
        is_upright = file.getexif().get(0x0112, 1) == 1
        return is_common and is_upright and file.mode == "RGB" and file.size == image.size
