import numpy as np
import pytest

from spatialreward.data.regions.correspondence import find_correspondence
from tests.data.regions.textures import encoded, gravel

NOTHING = np.zeros((448, 448), bool)


def mean(source, edited, changed=NOTHING):
    return find_correspondence(source, edited, changed).mean(0.25)


def test_a_copy_corresponds_and_an_unrelated_texture_does_not():
    assert mean(gravel(1, 8, 40), gravel(1, 8, 40)) == pytest.approx(1, abs=1e-3)
    assert mean(gravel(1, 8, 40), gravel(2, 8, 40)) == pytest.approx(0, abs=0.1)


def test_a_negative_corresponds_to_the_opposite():
    assert mean(gravel(1, 8, 30), 255 - gravel(1, 8, 30)) == pytest.approx(-1, abs=0.01)


@pytest.mark.parametrize("gain", [0.5, 2.0])
def test_contrast_makes_no_difference(gain):
    pixels = gravel(1, 8, 20)
    other = np.clip((pixels - 125.0) * gain + 125, 0, 255).astype(np.uint8)
    assert mean(pixels, other) > 0.95


@pytest.mark.parametrize("grain", [2, 4, 8])
def test_an_encoding_keeps_at_least_half_as_rounding_does(grain):
    pixels = gravel(1, grain, 40)
    assert mean(pixels, np.asarray(encoded(pixels, "JPEG", 5))) > 0.5


def test_what_is_known_to_have_changed_has_no_say():
    source, edited = gravel(1, 8, 40), gravel(1, 8, 40)
    edited[:224] = gravel(2, 8, 40)[:224]
    changed = NOTHING.copy()
    changed[:224] = True
    found = find_correspondence(source, edited, changed)
    assert found.mean(0.25) == pytest.approx(1, abs=1e-3)
    assert not found.structured_HW[:224].any()
    assert mean(source, edited) == pytest.approx(0.5, abs=0.1)


def test_flat_pictures_say_nothing():
    found = find_correspondence(
        *(np.full((448, 448, 3), level, np.uint8) for level in (9, 200)), NOTHING
    )
    assert not found.structured_HW.any()
    assert found.mean(0.25) == 1
