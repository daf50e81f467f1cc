import numpy as np
import pytest
from PIL import Image

from spatialreward.rl.picture_statistics import diversity, grid_strength, sharpness


def picture(pixels):
    return Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))


def noise(side=96, seed=3):
    return np.random.default_rng(seed).normal(128, 20, (side, side))


def test_sharpness_is_the_variance_of_the_laplacian():
    """A single pixel of 10 on black has a Laplacian of -40 and four of 10."""
    pixels = np.zeros((10, 10))
    pixels[5, 5] = 10
    assert sharpness(picture(pixels)) == pytest.approx((1600 + 4 * 100) / 100)
    assert sharpness(Image.new("RGB", (8, 8), "red")) == 0


def test_a_blurred_picture_is_less_sharp():
    whole = picture(noise())
    assert sharpness(whole.resize((48, 48)).resize(whole.size)) < sharpness(whole) / 2


@pytest.mark.parametrize("period", [8, 16])
def test_a_grid_shows_at_its_period_and_noise_shows_none(period):
    plain = noise()
    gridded = plain.copy()
    gridded[::period] += 60
    gridded[:, ::period] += 60
    assert abs(grid_strength(picture(plain), [8, 16])) < 0.02
    assert grid_strength(picture(gridded), [8, 16]) > 0.2
    assert grid_strength(picture(gridded), [11]) < 0.05


def test_pictures_that_cannot_show_a_grid_have_none():
    assert grid_strength(Image.new("RGB", (96, 96), "red"), [8]) == 0
    assert grid_strength(picture(noise(16)), [8]) == 0


def test_diversity_is_the_mean_difference_of_pairs():
    black, white = Image.new("RGB", (8, 8)), Image.new("RGB", (8, 8), "white")
    assert diversity([black, white]) == 1
    assert diversity([black, black, white]) == pytest.approx(2 / 3)
    assert diversity([black]) == 0
