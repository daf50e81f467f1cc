"""Estimates an editor's unintended global changes: tone, sharpness and noise.

All three are robust estimates from the pair itself, so the edit does not affect them as long as it
covers less than half of the visible structure.
"""

import itertools
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from spatialreward.data.regions.config import RegionConfig
from spatialreward.data.regions.median import median

# H W height and width, 3 channels (CIELAB unless said otherwise), N sampled pixels
Floats = NDArray[np.floating]

_TONE_SAMPLES = 1024
# From a wide scale to a narrow one, in levels, so that a strong change of tone does not count as an
# edit of the most affected places.
_TONE_SCALES = (32.0, 12.0, 5.0, 2.0, 2.0)
_TUKEY = 4.685
# Keeps the gains near 1 if there is little variation; squared levels.
_GAIN_PRIOR = 25.0
_BLURS = (1.0, 2.0, 3.0, 4.5, 7.0)
_EDGE_CONTRAST = 8.0
_SAME_SHARPNESS = 2.0
_MIN_EDGE_PIXELS = 64
_NOISE_SAMPLES = 3000
_NOISE_BINS = (0.0, 0.25, 0.5, 0.65, 0.8, 0.9, 1.0)


class Noise(NamedTuple):
    """Median colour difference of unchanged pixels: ``level + per_contrast * contrast``."""

    level: float
    per_contrast: float


def match_tone(source_HW3: Floats, edited_HW3: Floats) -> Floats:
    """The source with the edited picture's tone: robust gain and offset per channel.

    Both pictures, and the result, are RGB in levels 0..255: exposure and colour casts are gains and
    offsets there, unlike in CIELAB.
    """
    source_N3, edited_N3 = (
        _sample(picture, _TONE_SAMPLES).astype(np.float32) for picture in (source_HW3, edited_HW3)
    )
    gain, offset = np.ones(3), np.median(edited_N3 - source_N3, axis=0)
    for least in _TONE_SCALES:
        errors_N = np.sqrt(((edited_N3 - gain * source_N3 - offset) ** 2).sum(axis=1))
        scale = max(median(errors_N), least)
        weights_N = np.clip(1 - (errors_N / (_TUKEY * scale)) ** 2, 0, None) ** 2
        weights_N /= weights_N.sum()
        source_mean, edited_mean = weights_N @ source_N3, weights_N @ edited_N3
        deviations_N3 = source_N3 - source_mean
        covariance = weights_N @ (deviations_N3 * (edited_N3 - edited_mean))
        gain = (covariance + _GAIN_PRIOR) / (weights_N @ deviations_N3**2 + _GAIN_PRIOR)
        offset = edited_mean - gain * source_mean
    mixing = np.hstack([np.diag(gain), offset[:, None]]).astype(np.float32)
    return np.clip(cv2.transform(source_HW3.astype(np.float32), mixing), 0, 255)


def match_sharpness(source_HW3: Floats, edited_HW3: Floats) -> tuple[Floats, Floats]:
    """Both pictures at the sharpness of the softer one.

    Applies only a blur that explains a third of the differences at the source's edges; other
    changes there are left to later steps.
    """
    height, width = source_HW3.shape[:2]
    half = max(1, width // 2), max(1, height // 2)
    source_HW, edited_HW = (
        cv2.resize(cv2.extractChannel(one, 0), half, interpolation=cv2.INTER_AREA)
        for one in (source_HW3, edited_HW3)
    )
    at_edges = contrast(source_HW, 3) > _EDGE_CONTRAST
    if at_edges.sum() < _MIN_EDGE_PIXELS:
        return source_HW3, edited_HW3

    def error(one_HW: Floats, other_HW: Floats) -> float:
        return median(cv2.absdiff(one_HW, other_HW)[at_edges])

    unmatched = error(source_HW, edited_HW)
    if unmatched < _SAME_SHARPNESS:
        return source_HW3, edited_HW3
    softer = [error(_blurred(source_HW, sigma / 2), edited_HW) for sigma in _BLURS]
    sharper = [error(source_HW, _blurred(edited_HW, sigma / 2)) for sigma in _BLURS]
    if min(softer + sharper) > unmatched * 2 / 3:
        return source_HW3, edited_HW3
    if min(softer) <= min(sharper):
        return _blurred(source_HW3, _BLURS[int(np.argmin(softer))]), edited_HW3
    return source_HW3, _blurred(edited_HW3, _BLURS[int(np.argmin(sharper))])


def channel_weights(source_HW3: Floats, edited_HW3: Floats, floor: float) -> Floats:
    """Weights, at most 1, that reduce noisier channels; ``[3]``."""
    samples = (_sample(one, _NOISE_SAMPLES) for one in (source_HW3, edited_HW3))
    differences_N3 = np.abs(np.subtract(*samples))
    noise_3 = np.maximum(np.median(differences_N3, axis=0), floor / 2)
    return (noise_3.min() / noise_3).astype(np.float32)


def fit_noise(difference_HW: Floats, contrast_HW: Floats, config: RegionConfig) -> Noise:
    """Size of differences in flat places, and their growth with contrast.

    Medians within bins of similar contrast, and the median slope between the bins (Theil and Sen).
    """
    difference_N, contrast_N = (
        _sample(one[..., None], _NOISE_SAMPLES)[:, 0] for one in (difference_HW, contrast_HW)
    )
    order = np.argsort(contrast_N, kind="stable")
    bounds = [round(share * len(order)) for share in _NOISE_BINS]
    bins = [order[a:b] for a, b in itertools.pairwise(bounds) if b > a]
    heights = np.array([median(difference_N[one]) for one in bins])
    places = np.array([median(contrast_N[one]) for one in bins])
    first, second = np.triu_indices(len(bins), 1)
    apart = places[second] - places[first] > config.noise_floor
    slopes = (heights[second] - heights[first])[apart] / (places[second] - places[first])[apart]
    slope = float(np.clip(median(slopes), 0, config.max_edge_noise)) if slopes.size else 0.0
    level = median(difference_N - slope * contrast_N)
    return Noise(float(np.clip(level, config.noise_floor, config.max_noise)), slope)


def contrast(picture: Floats, window: int) -> Floats:
    """Range of the values within ``window`` pixels, by channel; the picture's shape."""
    element = np.ones((window, window), np.uint8)
    return cv2.dilate(picture, element) - cv2.erode(picture, element)


def _blurred(picture: Floats, sigma: float) -> Floats:
    return cv2.GaussianBlur(picture, (0, 0), sigma, borderType=cv2.BORDER_REPLICATE)


def _sample(picture: Floats, count: int) -> Floats:
    """About ``count`` pixels or more from all over a picture ``[H, W, C]``; ``[N, C]``."""
    step = max(1, int((picture.shape[0] * picture.shape[1] / count) ** 0.5))
    return picture[::step, ::step].reshape(-1, picture.shape[2])
