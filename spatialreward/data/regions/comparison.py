"""Compares two pictures by pixel, after compensating an editor's global changes."""

from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from spatialreward.data.regions.alignment import Alignment, covered, estimate_alignment, warp
from spatialreward.data.regions.config import RegionConfig
from spatialreward.data.regions.reencoding import (
    channel_weights,
    fit_noise,
    match_sharpness,
    match_tone,
)

# H W height and width at the working resolution, 3 channels
Floats = NDArray[np.floating]

# OpenCV misreads the three values of a single pixel.
_MIN_SIDE = 8
_TONE_REDUCTION = 4
_TOLERANCE_WINDOW = 3
_PRESMOOTHING_PX = 0.8
_SMOOTHING_PX = 1.0
_STRUCTURE_WINDOW = 9
_STRUCTURE_DEVIATION = 3.0
# Twice the noise's deviation: the median length of three normal numbers is 1.54 deviations.
_STRUCTURE_TO_NOISE = 2 / 1.54
_INTACT_CORRELATION = 0.9


class Comparison(NamedTuple):
    """The comparison, at the working resolution."""

    excess_HW: Floats
    """Colour difference of each pixel in multiples of its expected noise."""
    tone_HW: Floats
    """Colour difference of each pixel from a single change of tone for the whole picture."""
    structured_HW: NDArray[np.bool_]
    """Mask of the source's structure above the noise."""
    intact_HW: NDArray[np.bool_]
    """Mask of the same structure in the edited picture."""
    level_HW: NDArray[np.uint8]
    """Mean difference of red, green and blue after alignment, in levels 0..255."""
    source_HW3: NDArray[np.uint8]
    """The source in RGB, aligned; keeps its own tone and sharpness."""
    edited_HW3: NDArray[np.uint8]
    """The edited picture in RGB; content from beyond the border is replaced by the source's."""
    alignment: Alignment


def compare(source: Image.Image, edited: Image.Image, config: RegionConfig) -> Comparison:
    """Compare two pictures of any size; rescales the source to the edited picture's shape."""
    before, after = _at_working_size(source, edited, config.working_side)
    alignment = estimate_alignment(before, after, config)
    before = warp(before, alignment)
    # Content from beyond the border was never in the source, so it is no change of it.
    after = np.where(covered(alignment, after.shape[:2])[..., None], after, before)
    toned = match_tone(before, after)
    source_HW3, edited_HW3 = match_sharpness(_to_lab(toned), _to_lab(after))
    excess_HW, noise_level = _excess(source_HW3, edited_HW3, config)
    structured_HW, intact_HW = _structure(source_HW3, edited_HW3, noise_level)
    return Comparison(
        excess_HW=excess_HW,
        tone_HW=_tone_change(before, toned),
        structured_HW=structured_HW,
        intact_HW=intact_HW,
        level_HW=cv2.transform(cv2.absdiff(before, after), np.full((1, 3), 1 / 3)),
        source_HW3=before,
        edited_HW3=after,
        alignment=alignment,
    )


def _at_working_size(
    source: Image.Image, edited: Image.Image, longest: int
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    scale = min(1.0, longest / max(edited.size))
    width, height = (max(_MIN_SIDE, round(side * scale)) for side in edited.size)
    before, after = (_resized(image, width, height) for image in (source, edited))
    return before, after


def _resized(image: Image.Image, width: int, height: int) -> NDArray[np.uint8]:
    image = image if image.mode == "RGB" else image.convert("RGB")
    # Pillow is slow to export pixels and fast to average them, so it handles whole factors.
    factors = max(1, image.width // width), max(1, image.height // height)
    pixels = np.asarray(image.reduce(factors) if max(factors) > 1 else image)
    return cv2.resize(pixels, (width, height), interpolation=cv2.INTER_AREA)


def _to_lab(picture: NDArray) -> Floats:
    lab = cv2.cvtColor(picture.astype(np.float32) * np.float32(1 / 255), cv2.COLOR_RGB2Lab)
    return cv2.GaussianBlur(lab, (0, 0), _PRESMOOTHING_PX)


def _tone_change(before: NDArray[np.uint8], toned: Floats) -> Floats:
    """Colour difference of each pixel; tone varies slowly, so a lower resolution suffices."""
    height, width = before.shape[:2]
    small = max(_MIN_SIDE, width // _TONE_REDUCTION), max(_MIN_SIDE, height // _TONE_REDUCTION)
    one, other = (
        _to_lab(cv2.resize(picture, small, interpolation=cv2.INTER_AREA))
        for picture in (before, toned)
    )
    difference_HW = _length(cv2.subtract(one, other))
    return cv2.resize(difference_HW, (width, height), interpolation=cv2.INTER_NEAREST)


def _excess(source_HW3: Floats, edited_HW3: Floats, config: RegionConfig) -> tuple[Floats, float]:
    """Difference in multiples of the noise, and the level of the noise.

    A pixel's difference is its distance from the range of its neighbourhood in the other picture,
    averaged over both directions: a shift by a pixel gives zero, and grain in only one of them
    gives half.
    """
    weights = channel_weights(source_HW3, edited_HW3, config.noise_floor)
    source_HW3, edited_HW3 = (
        cv2.transform(one, np.diag(weights)) for one in (source_HW3, edited_HW3)
    )
    element = np.ones((_TOLERANCE_WINDOW, _TOLERANCE_WINDOW), np.uint8)
    ranges = [
        (cv2.erode(one, element), cv2.dilate(one, element)) for one in (source_HW3, edited_HW3)
    ]
    (low_s, high_s), (low_e, high_e) = ranges
    contrasts = (_length(cv2.subtract(high, low)) for low, high in ranges)
    contrast_HW = cv2.min(*contrasts)
    noise = fit_noise(_length(cv2.subtract(edited_HW3, source_HW3)), contrast_HW, config)
    tolerant_HW = _length(_outside(edited_HW3, low_s, high_s))
    tolerant_HW += _length(_outside(source_HW3, low_e, high_e))
    smooth_HW = cv2.GaussianBlur(tolerant_HW / 2, (0, 0), _SMOOTHING_PX)
    return smooth_HW / (noise.level + noise.per_contrast * contrast_HW), noise.level


def _outside(values: Floats, low: Floats, high: Floats) -> Floats:
    return cv2.max(cv2.max(cv2.subtract(values, high), cv2.subtract(low, values)), 0.0)


def _structure(
    source_HW3: Floats, edited_HW3: Floats, noise_level: float
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Masks of the source's structure, and of the same structure in the edited picture.

    The same: twice the covariance over the sum of the variances, which is the correlation reduced
    by unequal contrast, as in the structural similarity index of Wang et al. (2004), equation 6
    without its constants.
    """
    window = (_STRUCTURE_WINDOW, _STRUCTURE_WINDOW)

    def mean(values_HW: Floats) -> Floats:
        return cv2.boxFilter(values_HW, -1, window)

    source_HW, edited_HW = (cv2.extractChannel(one, 0) for one in (source_HW3, edited_HW3))
    source_mean, edited_mean = mean(source_HW), mean(edited_HW)
    source_var = mean(source_HW * source_HW) - source_mean * source_mean
    edited_var = mean(edited_HW * edited_HW) - edited_mean * edited_mean
    covariance = mean(source_HW * edited_HW) - source_mean * edited_mean
    structured_HW = source_var > max(_STRUCTURE_DEVIATION, _STRUCTURE_TO_NOISE * noise_level) ** 2
    intact_HW = 2 * covariance > _INTACT_CORRELATION * (source_var + edited_var)
    return structured_HW, structured_HW & intact_HW


def _length(vectors_HW3: Floats) -> Floats:
    squares = cv2.multiply(vectors_HW3, vectors_HW3)
    return cv2.sqrt(cv2.transform(squares, np.ones((1, 3), np.float32)))
