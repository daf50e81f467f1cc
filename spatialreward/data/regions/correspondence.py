"""Checks whether two pictures that match up to noise share any structure.

The noise of a pair is estimated from the pair itself. For two unrelated fine textures, such as a
crowd and another frame of it, everything then counts as noise. So apparently unchanged places must
satisfy a bound on what an encoding can do to a picture:

An encoder rounds the coefficients of an orthogonal transform to multiples of a step. A coefficient
that is rounded to ``q`` was at least ``q / 2`` before, of the same sign; so the covariance of a
picture with its encoding is at least half of the encoding's variance, however strong it is.
Resizing and blurring only remove structure. A raised contrast leaves the correlation unchanged. The
larger one of ``covariance / variance of the edited picture`` and the correlation is therefore at
least 0.5 for a re-encoded picture, and 0 on average for unrelated textures. In a few hundred
generated textures it was 0.64 to 1 after an encoding (JPEG or WebP of quality 10 to 95, half of the
size and back, grain, blur), and -0.13 to 0.39 for another frame of the same texture or another
texture of equal statistics.

Only the alignment is estimated from the pair.
"""

from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

# H W height and width at the working resolution; lightness in 0..100
Floats = NDArray[np.floating]
Pixels = NDArray[np.uint8]

_LIGHTNESS_PER_LEVEL = np.float32(100 / 255)
_WINDOW = (25, 25)
# Structure fades out around a change.
_FRINGE = np.ones((5, 5), np.uint8)
# Deviations of lightness within a window: above the grain of most photographs if both pictures have
# them, and above what encoders, grain and banding add to a flat place if only one has.
_STRUCTURE = 2.0
_STRUCTURE_OF_ONE = 8.0
_NOT_ZERO = 1e-6


class Correspondence(NamedTuple):
    """How much of the structure around each pixel is the source's."""

    share_HW: Floats
    """1 for the source's own structure or what an encoder keeps of it, 0 for unrelated structure,
    -1 for its negative."""
    structured_HW: NDArray[np.bool_]
    """Mask of apparently unchanged places where both pictures have structure, or one has much; the
    share is meaningless elsewhere."""

    def mean(self, least_structured: float) -> float:
        """Mean share over structured places.

        1 if they are less than ``least_structured`` of the picture: without structure there is no
        evidence against it.
        """
        enough = self.structured_HW.sum() >= least_structured * self.structured_HW.size
        return float(self.share_HW[self.structured_HW].mean()) if enough else 1.0


def find_correspondence(
    source_HW3: Pixels, edited_HW3: Pixels, changed_HW: NDArray[np.bool_]
) -> Correspondence:
    """Compare the structure of two aligned RGB pictures by window.

    Windows exclude changed pixels, which also do not count as structured.
    """
    kept_HW = (cv2.dilate(changed_HW.astype(np.uint8), _FRINGE) == 0).astype(np.float32)
    source_HW, edited_HW = (
        cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY) * (_LIGHTNESS_PER_LEVEL * kept_HW)
        for picture in (source_HW3, edited_HW3)
    )

    per_kept_HW = 1 / cv2.max(cv2.boxFilter(kept_HW, -1, _WINDOW), _NOT_ZERO)

    def mean(values_HW: Floats) -> Floats:
        return cv2.boxFilter(values_HW, -1, _WINDOW) * per_kept_HW

    source_mean, edited_mean = mean(source_HW), mean(edited_HW)
    source_var = cv2.max(mean(source_HW * source_HW) - source_mean * source_mean, 0.0)
    edited_var = cv2.max(mean(edited_HW * edited_HW) - edited_mean * edited_mean, 0.0)
    covariance = mean(source_HW * edited_HW) - source_mean * edited_mean
    # The smaller denominator gives the larger one of the two measures.
    variance = cv2.sqrt(edited_var * cv2.min(source_var, edited_var))
    share_HW = np.clip(covariance / cv2.max(variance, _NOT_ZERO), -1, 1)
    both_HW = cv2.min(source_var, edited_var) > _STRUCTURE**2
    one_HW = cv2.max(source_var, edited_var) > _STRUCTURE_OF_ONE**2
    return Correspondence(share_HW, (both_HW | one_HW) & (kept_HW > 0))
