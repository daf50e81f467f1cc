"""Perceptual hashes: 64 bits that change little when a picture is re-encoded or resized.

The hash is ImageHash's ``phash``: signs of the 8 x 8 lowest frequencies of the picture at 32 x 32
grey pixels, against their median. It ignores colour and small changes, so a locally edited picture
is as close to its source as a copy is. Flat pictures, whose low frequencies are all close to zero,
are close to other flat pictures with different content.
"""

import re
from collections.abc import Iterable

import numpy as np
from PIL import Image

from spatialreward.errors import InvalidInputError

_SIZE = (32, 32)
_GAP = 3.0
"""Pillow first averages whole pixels down to three times the size, with the same result."""
_DIGITS = re.compile("[0-9a-f]{16}")


def fingerprint(image: Image.Image) -> str:
    """Perceptual hash of a picture, 16 hexadecimal digits."""
    # Imported here: comparing hashes, as a training does, needs no package.
    import imagehash

    # ImageHash would also shrink the picture, but five times as slowly.
    grey = image.convert("L").resize(_SIZE, Image.Resampling.LANCZOS, reducing_gap=_GAP)
    return str(imagehash.phash(grey))


def to_bits(fingerprints: Iterable[str]) -> np.ndarray:
    """Hashes as numbers, ``[N]`` uint64.

    Raises:
        InvalidInputError: one of them is not 16 hexadecimal digits.
    """
    return np.fromiter((_number(digits) for digits in fingerprints), dtype=np.uint64)


def distance(one: str, other: str) -> int:
    """Number of differing bits, of 64."""
    return (_number(one) ^ _number(other)).bit_count()


def _number(digits: str) -> int:
    if not _DIGITS.fullmatch(digits):
        raise InvalidInputError(f"fingerprint: expected 16 hexadecimal digits, got {digits!r}")
    return int(digits, 16)
