"""Renders scenes to pixels, at any resolution, on plain backgrounds or photographs."""

from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageOps

from spatialreward.errors import InvalidInputError
from spatialreward.records import Record
from spatialreward.world.scene import EXTENT, GRID, Scene, SceneObject, Shape, Size

# H W picture height and width; pictures are float arrays [H, W, 3] in 0..255
Picture = NDArray[np.float32]
_OVERSAMPLING = 4

COLOUR_RGB = {
    "red": (214, 40, 40),
    "green": (46, 150, 60),
    "blue": (40, 76, 214),
    "yellow": (246, 212, 40),
    "purple": (140, 50, 170),
    "cyan": (30, 200, 210),
}
BACKGROUND_RGB = {
    "grey": (120, 120, 124),
    "pink": (244, 190, 204),
    "sand": (206, 172, 128),
    "sky": (188, 216, 244),
}


class Look(Record):
    """Paint of one scene; both pictures of an edit share it."""

    colour_shift: tuple[float, float, float] = (0.0, 0.0, 0.0)
    """Added to every object's red, green and blue, in 0..255 units."""
    light: float = 0.0
    """Brightness difference between top and bottom of a plain background, in 0..255 units."""
    photo: str = ""
    """File name of the photograph behind the objects; empty for plain backgrounds."""


def paint_background(
    background: str, look: Look, height: int, width: int, photos: Path | None = None
) -> Picture:
    """A background of ``[height, width, 3]``.

    Raises:
        InvalidInputError: a photograph is required but its folder was not given, or it is
            unreadable.
    """
    if background == "photo":
        if photos is None:
            raise InvalidInputError(f"photo {look.photo}: the folder of photographs is not given")
        # A copy: objects are painted into it, and the cached photograph serves the next scene.
        return _photo(photos / look.photo, height, width).copy()
    ramp = np.linspace(-look.light / 2, look.light / 2, height, dtype=np.float32)
    colour = np.array(BACKGROUND_RGB[background], np.float32)
    canvas = np.broadcast_to(colour + ramp[:, None, None], (height, width, 3))
    return np.clip(canvas, 0, 255).astype(np.float32)


def paint_object(canvas: Picture, cell: int, thing: SceneObject, look: Look) -> None:
    """Paint an object into its cell of ``canvas``, in place."""
    height, width = canvas.shape[:2]
    top, bottom = cell // GRID * height // GRID, (cell // GRID + 1) * height // GRID
    left, right = cell % GRID * width // GRID, (cell % GRID + 1) * width // GRID
    cover = _cover(thing.shape, thing.size, bottom - top, right - left)
    colour = np.array(COLOUR_RGB[thing.colour], np.float32) + np.array(look.colour_shift)
    patch = canvas[top:bottom, left:right]
    patch += cover[:, :, None] * (np.clip(colour, 0, 255).astype(np.float32) - patch)


def paint(scene: Scene, look: Look, height: int, width: int, photos: Path | None = None) -> Picture:
    """The whole scene, ``[height, width, 3]`` in 0..255."""
    canvas = paint_background(scene.background, look, height, width, photos)
    for cell, thing in scene.in_reading_order():
        paint_object(canvas, cell, thing, look)
    return canvas


def to_image(picture: Picture) -> Image.Image:
    """Round to an 8-bit RGB picture."""
    return Image.fromarray(np.clip(np.rint(picture), 0, 255).astype(np.uint8))


def to_picture(image: Image.Image) -> Picture:
    """The float array of a picture."""
    return np.asarray(image.convert("RGB"), np.float32)


@lru_cache(maxsize=256)
def _cover(shape: Shape, size: Size, height: int, width: int) -> Picture:
    """Share of each pixel of a cell that an object covers, ``[height, width]`` in 0..1."""
    fine = Image.new("L", (width * _OVERSAMPLING, height * _OVERSAMPLING))
    draw = ImageDraw.Draw(fine)
    margin = (1 - EXTENT[size]) / 2
    x1, x2 = margin * fine.width, (1 - margin) * fine.width - 1
    y1, y2 = margin * fine.height, (1 - margin) * fine.height - 1
    match shape:
        case "circle":
            draw.ellipse((x1, y1, x2, y2), fill=255)
        case "square":
            draw.rectangle((x1, y1, x2, y2), fill=255)
        case "triangle":
            draw.polygon([((x1 + x2) / 2, y1), (x2, y2), (x1, y2)], fill=255)
        case "cross":
            arm_x, arm_y = (x2 - x1) * 0.34, (y2 - y1) * 0.34
            draw.rectangle((x1 + arm_x, y1, x2 - arm_x, y2), fill=255)
            draw.rectangle((x1, y1 + arm_y, x2, y2 - arm_y), fill=255)
    return np.asarray(fine.resize((width, height), Image.Resampling.BOX), np.float32) / 255


@lru_cache(maxsize=64)
def _photo(path: Path, height: int, width: int) -> Picture:
    try:
        with Image.open(path) as image:
            fitted = ImageOps.fit(image.convert("RGB"), (width, height))
    except OSError as error:
        raise InvalidInputError(f"photo {path}: {error.strerror or error}") from error
    return np.asarray(fitted, np.float32)
