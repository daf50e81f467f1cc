"""Alignment: estimates an editor's unintended shift and stretch of the picture's content.

Tracks points from the edited picture back to its source, and fits shift and scale to their
movements, each axis separately and robustly against edited places. Left out: rotations, because no
known editor rotates pictures.
"""

from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from spatialreward.data.regions.config import RegionConfig
from spatialreward.data.regions.median import median

# H W height and width; N points
Pixels = NDArray[np.uint8]
Floats = NDArray[np.floating]

_MAX_POINTS = 128
_MIN_POINTS = 8
_MIN_SIDE = 32
_WINDOW = (15, 15)
_LEVELS = 3
_STOP = (cv2.TERM_CRITERIA_COUNT | cv2.TERM_CRITERIA_EPS, 12, 0.03)
_FITTING_STEPS = 5
_AGREES_PX = 1.0
# Larger differences are edits, which must not influence the alignment of the rest.
_LIMIT_LEVELS = 32
# Alignment is never exact; a smaller shift needs no exclusion of the border.
_BORDER_PX = 0.25
# Tukey's constant: 95 % efficient for normally distributed movements.
_TUKEY = 4.685
# Keeps the scale at 1 if all points lie close together: 3 px of spread over 100 points.
_SCALE_PRIOR = 1000.0


class Alignment(NamedTuple):
    """Content at ``p`` of the edited picture was at ``p + shift + stretch * (p - centre)``."""

    shift: tuple[float, float] = (0.0, 0.0)
    """x and y, in pixels."""
    stretch: tuple[float, float] = (0.0, 0.0)
    """Horizontal and vertical scale, less 1."""


def estimate_alignment(source: Pixels, edited: Pixels, config: RegionConfig) -> Alignment:
    """Align two RGB pictures ``[H, W, 3]`` of one size; identity if nothing plausible is found.

    Small and structureless pictures offer no points and count as aligned.
    """
    height, width = edited.shape[:2]
    if min(height, width) < _MIN_SIDE:
        return Alignment()
    greys = [cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY) for picture in (source, edited)]
    followed = _follow(*greys)
    if followed is None:
        return _shift_alone(*greys, config)
    points_N2, movements_N2 = followed
    longest = max(height, width)
    shifts, stretches = [], []
    for axis, side in enumerate((width, height)):
        shift, stretch, agreeing = _fit(points_N2[:, axis] - side / 2, movements_N2[:, axis])
        if (
            agreeing < config.min_agreeing
            or abs(shift) > config.max_shift * longest
            or abs(stretch) > config.max_rescaling
        ):
            return Alignment()
        shifts.append(shift)
        stretches.append(stretch)
    return Alignment((shifts[0], shifts[1]), (stretches[0], stretches[1]))


def _shift_alone(source: Pixels, edited: Pixels, config: RegionConfig) -> Alignment:
    """For pictures with few corners: phase correlation, if it reduces the difference."""
    height, width = edited.shape
    window = cv2.createHanningWindow((width, height), cv2.CV_32F)
    (dx, dy), _ = cv2.phaseCorrelate(edited.astype(np.float32), source.astype(np.float32), window)
    if not max(abs(dx), abs(dy)) <= config.max_shift * max(height, width):
        return Alignment()
    found = Alignment((dx, dy))
    unmoved, moved = (
        np.minimum(cv2.absdiff(one, edited), _LIMIT_LEVELS).mean()
        for one in (source, warp(source, found))
    )
    return found if moved < unmoved else Alignment()


def warp(source: Pixels, alignment: Alignment) -> Pixels:
    """The source ``[H, W, 3]`` in the edited picture's alignment; extends its border outwards."""
    if alignment == Alignment():
        return source
    height, width = source.shape[:2]
    (dx, dy), (stretch_x, stretch_y) = alignment
    to_source = np.array(
        [
            [1 + stretch_x, 0, dx - stretch_x * width / 2],
            [0, 1 + stretch_y, dy - stretch_y * height / 2],
        ]
    )
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    size = (width, height)
    return cv2.warpAffine(source, to_source, size, flags=flags, borderMode=cv2.BORDER_REPLICATE)


def covered(alignment: Alignment, shape: tuple[int, int]) -> NDArray[np.bool_]:
    """Mask of the edited picture's content within the source's border, ``[H, W]``."""
    inside = []
    for side, shift, stretch in zip(shape[::-1], *alignment, strict=True):
        places = np.arange(side)
        origins = places + shift + stretch * (places - side / 2)
        inside.append((origins > -_BORDER_PX) & (origins < side - 1 + _BORDER_PX))
    return inside[1][:, None] & inside[0]


def _follow(source: Pixels, edited: Pixels) -> tuple[Floats, Floats] | None:
    """Points of the edited picture and their movements to the source, both ``[N, 2]``.

    Keeps only points that track back to their origin; None if there are too few.
    """
    corners = cv2.goodFeaturesToTrack(edited, _MAX_POINTS, 0.01, 6)
    if corners is None:
        return None
    there, found, _ = cv2.calcOpticalFlowPyrLK(
        edited, source, corners, None, winSize=_WINDOW, maxLevel=_LEVELS, criteria=_STOP
    )
    back, found_back, _ = cv2.calcOpticalFlowPyrLK(
        source, edited, there, None, winSize=_WINDOW, maxLevel=_LEVELS, criteria=_STOP
    )
    returned = np.abs(back - corners).max(axis=(1, 2)) < _AGREES_PX / 2
    usable = (found[:, 0] > 0) & (found_back[:, 0] > 0) & returned
    if usable.sum() < _MIN_POINTS:
        return None
    return corners[usable, 0], (there - corners)[usable, 0]


def _fit(positions: Floats, movements: Floats) -> tuple[float, float, float]:
    """Shift, stretch and share of points that agree, by iterated weighted least squares."""
    shift, stretch = median(movements), 0.0
    for _ in range(_FITTING_STEPS):
        errors = movements - shift - stretch * positions
        scale = max(1.48 * median(np.abs(errors)), 0.1)
        weights = np.clip(1 - (errors / (_TUKEY * scale)) ** 2, 0, None) ** 2
        total = weights.sum()
        centre, mean = (weights * positions).sum() / total, (weights * movements).sum() / total
        offsets = positions - centre
        covariance = (weights * offsets * (movements - mean)).sum()
        stretch = float(covariance / ((weights * offsets**2).sum() + _SCALE_PRIOR))
        shift = float(mean - stretch * centre)
    errors = np.abs(movements - shift - stretch * positions)
    return shift, stretch, float((errors < _AGREES_PX).mean())
