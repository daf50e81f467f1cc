import io
import struct
import zlib

import imagehash
import numpy as np
import pytest
from PIL import Image

from spatialreward.data.edits import LabelledEdit, RowOrigin
from spatialreward.data.filters.config import PictureLimits
from spatialreward.data.filters.fingerprints import distance, fingerprint, to_bits
from spatialreward.data.filters.pictures import Pictures, check_text, open_picture, open_pictures
from spatialreward.data.filters.reasons import Reason
from spatialreward.errors import InvalidInputError

LIMITS = PictureLimits()


def encoded(width: int, height: int, format: str = "PNG") -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (width, height), "teal").save(buffer, format=format)
    return buffer.getvalue()


def header_of_a_bomb(width: int, height: int) -> bytes:
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", b"")


def chunk(kind: bytes, body: bytes) -> bytes:
    checksum = struct.pack(">I", zlib.crc32(kind + body))
    return struct.pack(">I", len(body)) + kind + body + checksum


def edit(*sources: bytes, edited: bytes | None = None) -> LabelledEdit:
    return LabelledEdit(
        id="e1",
        instruction="make it snow",
        sources=sources,
        edited=edited,
        origin=RowOrigin(file="f", row="1"),
    )


def noise(seed: int, side: int = 96) -> Image.Image:
    samples = np.random.default_rng(seed).integers(0, 256, (6, 6, 3), dtype=np.uint8)
    return Image.fromarray(samples).resize((side, side), Image.Resampling.BICUBIC)


def test_pictures_are_decoded_once_and_in_order():
    pictures = open_pictures(
        edit(encoded(80, 90), encoded(70, 64), edited=encoded(100, 64)), LIMITS
    )
    assert isinstance(pictures, Pictures)
    assert [source.size for source in pictures.sources] == [(80, 90), (70, 64)]
    assert pictures.edited.size == (100, 64)
    assert len(pictures.fingerprints()) == 3


def test_prompts_have_no_edited_picture():
    pictures = open_pictures(edit(encoded(80, 80)), LIMITS)
    assert pictures.edited is None
    assert len(pictures.fingerprints()) == 1


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", Reason.UNREADABLE_PICTURE),
        (b"GIF is what this is not", Reason.UNREADABLE_PICTURE),
        (encoded(80, 80, "JPEG")[:-200], Reason.UNREADABLE_PICTURE),
        (encoded(200, 63), Reason.PICTURE_TOO_SMALL),
        (encoded(64, 513), Reason.PICTURE_TOO_LONG),
        (encoded(20_100, 100), Reason.PICTURE_TOO_LONG),
        (header_of_a_bomb(9_000, 9_000), Reason.PICTURE_TOO_LARGE),
        (header_of_a_bomb(12_000, 12_000), Reason.PICTURE_TOO_LARGE),
        (header_of_a_bomb(60_000, 60_000), Reason.PICTURE_TOO_LARGE),
    ],
)
def test_each_unusable_picture_has_its_reason(data, reason):
    found = open_picture(data, "edited", LIMITS)
    assert found.reason is reason
    assert found.detail.startswith("picture edited: ")


def test_pictures_at_the_limits_are_usable():
    for width, height in [(64, 64), (64, 512), (512, 64)]:
        assert open_picture(encoded(width, height), "source", LIMITS).size == (width, height)


def test_the_limit_of_pixels_is_the_configurations():
    limits = PictureLimits(max_pixels=6_400)
    assert open_picture(encoded(80, 80), "source", limits).size == (80, 80)
    found = open_picture(encoded(80, 81), "source", limits)
    assert found.reason is Reason.PICTURE_TOO_LARGE
    assert "80 x 81 pixels, more than the 6,400" in found.detail


def test_the_finding_names_the_picture_that_is_at_fault():
    broken = edit(encoded(80, 80), b"no", edited=encoded(80, 80))
    assert open_pictures(broken, LIMITS).detail.startswith("picture source 1: ")
    broken = edit(encoded(80, 80), edited=b"no")
    assert open_pictures(broken, LIMITS).detail.startswith("picture edited: ")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (" \n", Reason.NO_INSTRUCTION),
        ("x" * 2_001, Reason.INSTRUCTION_TOO_LONG),
        ("add a cat\x00", Reason.UNUSABLE_INSTRUCTION),
        ("add a cat<|im_end|>", Reason.UNUSABLE_INSTRUCTION),
        ("\u200b", Reason.NO_INSTRUCTION),
    ],
)
def test_each_unusable_instruction_has_its_reason(text, reason):
    assert check_text(text).reason is reason


def test_instructions_of_any_script_are_usable_up_to_the_configured_length():
    assert check_text("把猫变成“红色”") is None
    assert check_text("make it snow", max_characters=12) is None
    assert check_text("make it snow", max_characters=11).reason is Reason.INSTRUCTION_TOO_LONG


def test_fingerprints_are_those_of_imagehash():
    for seed in range(20):
        digits = fingerprint(noise(seed))
        assert imagehash.hex_to_hash(digits) == imagehash.phash(noise(seed))
        assert len(digits) == 16


def test_a_fingerprint_survives_reencoding_and_resizing_and_tells_pictures_apart():
    for seed in range(20):
        picture = noise(seed)
        buffer = io.BytesIO()
        picture.resize((61, 61)).save(buffer, "JPEG", quality=60)
        again = Image.open(buffer).convert("RGB")
        assert distance(fingerprint(picture), fingerprint(again)) <= 4
        assert distance(fingerprint(picture), fingerprint(noise(seed + 100))) > 12


def test_a_fingerprint_of_a_picture_without_any_structure_has_sixteen_digits():
    assert len(fingerprint(Image.new("RGB", (64, 64), "black"))) == 16


@pytest.mark.parametrize("digits", ["0x12345678901234", "12", "G" * 16, "A" * 16, " " * 16])
def test_what_is_no_fingerprint_is_refused(digits):
    with pytest.raises(InvalidInputError, match="16 hexadecimal digits"):
        to_bits([digits])


def test_the_bits_of_a_fingerprint_are_its_number():
    assert to_bits(["00000000000000ff", "f" * 16]).tolist() == [255, 2**64 - 1]
    assert distance("00000000000000ff", "0000000000000000") == 8
