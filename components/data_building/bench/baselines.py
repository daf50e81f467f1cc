"""Baselines of region proposal: two simple ways to find where two pictures differ."""

import cv2
import numpy as np
from PIL import Image

from spatialreward.data.edits import Box
from spatialreward.records import BOX_SCALE

_THRESHOLD = 20
_SIDE = 256
_REACH_PX = 2


def plain_difference(source: Image.Image, edited: Image.Image) -> list[Box]:
    """Box around all pixels whose brightness differs by more than a threshold."""
    before, after = (
        np.asarray(image.convert("L").resize(edited.size), np.int16) for image in (source, edited)
    )
    rows, columns = np.nonzero(np.abs(after - before) > _THRESHOLD)
    if not rows.size:
        return []
    box = columns.min(), rows.min(), columns.max() + 1, rows.max() + 1
    return [_normalised(box, edited.size)]


def tolerant_difference(source: Image.Image, edited: Image.Image) -> list[Box]:
    """Boxes of the larger places that differ at every shift of a few pixels, beyond most others."""
    scale = min(1.0, _SIDE / max(edited.size))
    size = tuple(max(1, round(side * scale)) for side in edited.size)
    before, after = (
        cv2.resize(np.asarray(image.convert("RGB")), size, interpolation=cv2.INTER_AREA)
        for image in (source, edited)
    )
    smooth = cv2.GaussianBlur(least_difference(before, after), (0, 0), 2)
    changed = beyond_most(smooth).astype(np.uint8)
    joined = cv2.morphologyEx(changed, cv2.MORPH_CLOSE, np.ones((21, 21), np.uint8))
    _, _, statistics, _ = cv2.connectedComponentsWithStats(joined)
    places = statistics[1:]
    large = places[places[:, 4] >= 0.3 * places[:, 4].max(initial=0)]
    return [_normalised((x, y, x + w, y + h), size) for x, y, w, h, _ in large]


def least_difference(before: np.ndarray, after: np.ndarray) -> np.ndarray:
    """Mean difference of the channels at the best shift of a few pixels, ``[height, width]``."""
    height, width = after.shape[:2]
    difference = np.full((height, width), np.inf)
    padded = np.pad(before, [(_REACH_PX, _REACH_PX)] * 2 + [(0, 0)], mode="edge").astype(np.int16)
    for dy in range(2 * _REACH_PX + 1):
        for dx in range(2 * _REACH_PX + 1):
            shifted = padded[dy : dy + height, dx : dx + width]
            difference = np.minimum(difference, np.abs(after - shifted).mean(axis=2))
    return difference


def beyond_most(differences: np.ndarray) -> np.ndarray:
    """Mask of the large differences far from their median."""
    median = np.median(differences)
    spread = 1.48 * np.median(np.abs(differences - median))
    return differences > max(median + 6 * spread, 8)


def _normalised(box: tuple[int, int, int, int], size: tuple[int, int]) -> Box:
    width, height = size
    x1, y1, x2, y2 = box
    return (
        int(x1 * BOX_SCALE // width),
        int(y1 * BOX_SCALE // height),
        int(-(-x2 * BOX_SCALE // width)),
        int(-(-y2 * BOX_SCALE // height)),
    )
