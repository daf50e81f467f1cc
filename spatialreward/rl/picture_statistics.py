"""Statistics of edited pictures that reveal reward hacking without a judge.

Over-optimised editors add a fine grid to their pictures, blur or sharpen them, and draw the same
picture again and again.
"""

import itertools
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

# H W height and width
Floats = NDArray[np.floating]

_DETAIL_PX = 1.5
"""Deviation of the Gaussian that separates detail from the rest."""
_COMPARED_SIDE = 64
_FLAT = 1e-3
"""Variance of detail, in levels squared, below which a picture has none."""


def sharpness(picture: Image.Image) -> float:
    """Variance of the Laplacian of a picture's luminance, in levels 0..255 squared."""
    return float(ndimage.laplace(_luminance(picture)).var())


def grid_strength(picture: Image.Image, periods: Sequence[int]) -> float:
    """How much a picture's detail repeats at one of some periods, relative to neighbouring lags.

    Autocorrelation of the luminance minus its Gaussian blur, at the period, minus its mean at the
    lags from half to one and a half of the period except the period and its neighbours; the mean
    over rows and columns, and the maximum over periods. Near 0 without a grid, up to 1 for a pure
    grid. Skips periods longer than a third of the picture.
    """
    grey_HW = _luminance(picture)
    detail_HW = grey_HW - ndimage.gaussian_filter(grey_HW, _DETAIL_PX)
    energy = float(np.square(detail_HW).mean())
    usable = [period for period in periods if 3 * period <= min(picture.size)]
    if energy < _FLAT or not usable:
        return 0.0
    along = (detail_HW, detail_HW.T)
    return max(float(np.mean([_peak(one, period) for one in along])) / energy for period in usable)


def diversity(pictures: Sequence[Image.Image]) -> float:
    """Root mean square difference of two pictures of a group, 0..1, averaged over all pairs.

    Compares them at 64 x 64 pixels. 0 for a single picture.
    """
    small = [
        np.asarray(
            one.convert("RGB").resize((_COMPARED_SIDE,) * 2, Image.Resampling.BOX), np.float32
        )
        for one in pictures
    ]
    apart = [
        float(np.sqrt(np.square(one - other).mean())) / 255
        for one, other in itertools.combinations(small, 2)
    ]
    return float(np.mean(apart)) if apart else 0.0


def _peak(detail_HW: Floats, period: int) -> float:
    """Covariance along rows at the period, minus that at neighbouring lags."""
    around = [
        lag
        for lag in range(period - period // 2, period + period // 2 + 1)
        if abs(lag - period) > 1
    ]
    level = np.mean([_covariance(detail_HW, lag) for lag in around])
    return _covariance(detail_HW, period) - float(level)


def _covariance(detail_HW: Floats, lag: int) -> float:
    return float((detail_HW[:, :-lag] * detail_HW[:, lag:]).mean())


def _luminance(picture: Image.Image) -> Floats:
    return np.asarray(picture.convert("L"), np.float64)
