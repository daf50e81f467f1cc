import numpy as np
import pytest
import torch
from PIL import Image

from spatialreward.editors.pictures import SizeLimit, resized, to_pictures, to_pixels
from spatialreward.errors import InvalidInputError


@pytest.mark.parametrize(
    ("size", "limit", "expected"),
    [
        ((512, 512), SizeLimit(), (512, 512)),
        ((1024, 1024), SizeLimit(), (512, 512)),
        ((300, 200), SizeLimit(), (288, 192)),
        ((1000, 500), SizeLimit(), (720, 352)),
        ((4000, 200), SizeLimit(max_pixels=1024 * 1024, max_side_px=1024), (1024, 48)),
        ((200, 4000), SizeLimit(max_pixels=1024 * 1024, max_side_px=1024), (48, 1024)),
        ((100, 70), SizeLimit(multiple_px=32), (96, 64)),
    ],
)
def test_a_picture_is_scaled_down_and_its_sides_are_rounded_down(size, limit, expected):
    assert limit.fit(size) == expected


def test_a_picture_without_one_multiple_is_refused():
    with pytest.raises(InvalidInputError, match="12 x 400 px has a side below 16 px"):
        SizeLimit().fit((12, 400))


def test_pictures_go_to_pixels_and_back_to_the_bit():
    drawn = np.random.default_rng(2).integers(0, 256, (7, 5, 3), dtype=np.uint8)
    pixels_3HW = to_pixels(Image.fromarray(drawn))
    assert pixels_3HW.shape == (3, 7, 5)
    assert -1 <= pixels_3HW.min() < pixels_3HW.max() <= 1
    [picture] = to_pictures(pixels_3HW[None])
    assert np.array_equal(np.asarray(picture), drawn)


def test_pixels_out_of_range_are_clipped():
    [picture] = to_pictures(torch.tensor([-2.0, 0.0, 2.0]).view(1, 3, 1, 1))
    assert picture.getpixel((0, 0)) == (0, 128, 255)


def test_only_what_has_another_size_is_resized():
    pictures = [Image.new("RGB", (16, 16)), Image.new("RGB", (32, 16))]
    same, smaller = resized(pictures, (16, 16))
    assert same is pictures[0]
    assert smaller.size == (16, 16)
    assert SizeLimit().resize(same) is same
