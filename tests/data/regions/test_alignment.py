import cv2
import numpy as np
import pytest

from spatialreward.data.regions.alignment import Alignment, covered, estimate_alignment, warp
from spatialreward.data.regions.config import RegionConfig

CONFIG = RegionConfig()


def scene(side=256):
    rng = np.random.default_rng(7)
    small = rng.integers(0, 256, (side // 16, side // 16, 3), np.uint8)
    return cv2.resize(small, (side, side), interpolation=cv2.INTER_CUBIC)


def moved(pixels, dx, dy, scale=1.0):
    """The content further right by ``dx``, further down by ``dy``, and larger by ``scale``."""
    middle = pixels.shape[0] / 2
    matrix = np.array(
        [[scale, 0, dx + (1 - scale) * middle], [0, scale, dy + (1 - scale) * middle]]
    )
    return cv2.warpAffine(pixels, matrix, pixels.shape[1::-1], borderMode=cv2.BORDER_REFLECT)


@pytest.mark.parametrize("shift", [(0.0, 0.0), (1.5, -0.5), (-4.0, 7.25)])
def test_a_shift_is_found_to_a_tenth_of_a_pixel(shift):
    found = estimate_alignment(scene(), moved(scene(), *shift), CONFIG)
    assert found.shift == pytest.approx([-value for value in shift], abs=0.1)
    assert found.stretch == pytest.approx((0, 0), abs=0.002)


def test_rescaling_is_found():
    found = estimate_alignment(scene(), moved(scene(), 2, 1, scale=1.04), CONFIG)
    assert found.stretch == pytest.approx((1 / 1.04 - 1,) * 2, abs=0.004)


def test_an_edited_third_of_the_picture_has_no_say():
    edited = moved(scene(), 2, 1)
    edited[:, :85] = scene()[::-1, 100:185]
    found = estimate_alignment(scene(), edited, CONFIG)
    assert found.shift == pytest.approx((-2, -1), abs=0.15)


def test_a_shift_that_is_not_plausible_is_refused():
    found = estimate_alignment(scene(), moved(scene(), 12, 0), RegionConfig(max_shift=0.02))
    assert found == Alignment()


def test_pictures_with_nothing_in_common_are_not_aligned():
    other = np.random.default_rng(8).integers(0, 256, (256, 256, 3), np.uint8)
    assert estimate_alignment(scene(), other, CONFIG) == Alignment()


def test_a_flat_picture_is_not_aligned():
    flat = np.full((256, 256, 3), 90, np.uint8)
    assert estimate_alignment(flat, flat, CONFIG) == Alignment()


def test_an_aligned_source_is_the_edited_picture_away_from_its_border():
    edited = moved(scene(), 3, -2)
    aligned = warp(scene(), estimate_alignment(scene(), edited, CONFIG)).astype(int)
    assert np.abs(aligned - edited)[10:-10, 10:-10].mean() < 2


def test_what_came_in_over_the_border_is_not_covered():
    inside = covered(Alignment(shift=(-2.0, 0.0)), (10, 20))
    assert not inside[:, :2].any()
    assert inside[:, 2:].all()
