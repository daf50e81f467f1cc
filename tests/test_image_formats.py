"""What a server decodes: its three formats, and no other decoder is ever reached."""

import io

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from spatialreward.errors import InvalidInputError
from spatialreward.images import SERVED_FORMATS, decode_image, picture_size


def encode(image, image_format, **options):
    buffer = io.BytesIO()
    image.save(buffer, image_format, **options)
    return buffer.getvalue()


NOISE = Image.fromarray(np.random.default_rng(0).integers(0, 256, (48, 48, 3), dtype=np.uint8))


@pytest.mark.parametrize("image_format", ["PNG", "JPEG", "WEBP"])
def test_a_served_format_is_decoded_alike_where_others_are_not(image_format):
    data = encode(NOISE, image_format)
    assert decode_image(data, "a", formats=SERVED_FORMATS) == decode_image(data, "a")


def test_a_photograph_with_a_preview_counts_as_jpeg():
    frames = [Image.new("RGB", (9, 9), colour) for colour in ("red", "blue")]
    data = encode(frames[0], "MPO", save_all=True, append_images=frames[1:])
    assert decode_image(data, "a", formats=SERVED_FORMATS).getpixel((4, 4))[0] > 250


OTHER_FORMATS = {
    **{name: encode(NOISE, name) for name in ("BMP", "GIF", "TIFF", "ICO", "ICNS")},
    "PNM": encode(NOISE, "PPM"),
    "EPS": encode(NOISE, "EPS"),
    "SVG": b"<?xml version='1.0'?>\n<!-- a -->\n<svg xmlns='http://www.w3.org/2000/svg'/>",
    "PDF": encode(NOISE, "PDF"),
}


@pytest.mark.parametrize("image_format", OTHER_FORMATS)
def test_another_format_is_named_with_those_that_are_read(image_format):
    expected = rf"^picture a: is {image_format}, expected PNG, JPEG or WebP$"
    for read in (decode_image, picture_size):
        with pytest.raises(InvalidInputError, match=expected):
            read(OTHER_FORMATS[image_format], "a", formats=SERVED_FORMATS)


@given(
    st.sampled_from(list(OTHER_FORMATS.values())),
    st.lists(st.integers(0, 4_000), max_size=4),
    st.integers(0, 9_999),
)
def test_another_format_however_damaged_is_not_decoded(data, bits, length):
    damaged = bytearray(data)
    for bit in bits:
        damaged[bit // 8 % len(data)] ^= 1 << bit % 8
    with pytest.raises(InvalidInputError, match=r"expected PNG, JPEG or WebP|is empty"):
        decode_image(bytes(damaged[:length]), "a", formats=SERVED_FORMATS)


@pytest.mark.parametrize("image_format", ["PNG", "JPEG", "WEBP"])
def test_a_picture_s_size_is_known_without_decoding_it(image_format):
    data = encode(NOISE, image_format)
    assert picture_size(data, "a") == (48, 48)
    if image_format != "WEBP":
        assert picture_size(data[: len(data) * 3 // 4], "a") == (48, 48)
    with pytest.raises(InvalidInputError, match="picture a: 48 x 48 pixels, more than the 100"):
        picture_size(data, "a", max_pixels=100)
