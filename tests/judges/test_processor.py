import numpy as np
import pytest
from PIL import Image

from spatialreward.judges.qwen_vl.processor import Processor
from spatialreward.protocol.prompts import FULL
from tests.judges.models import image_processor

MOST = 4096


@pytest.fixture(scope="module")
def tokenizer(untrained):
    return untrained[1].tokenizer


def noise(width, height):
    pixels = np.random.default_rng(1).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return Image.fromarray(pixels)


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        ((64, 32), (64, 32)),  # within the limit, and whole tokens a side: as it is
        ((60, 35), (64, 32)),  # whole tokens a side
        ((128, 64), (64, 32)),  # half a side: 2,048 pixels of 2,048
        ((100, 100), (32, 32)),  # 48 x 48 would be 2,304
        ((10, 20), (32, 48)),  # the image processor's own least
    ],
)
def test_a_limit_by_area_keeps_the_shape(size, expected, tokenizer):
    processor = Processor(tokenizer, image_processor(), None, max_pixels=2048)
    assert processor.resized(Image.new("RGB", size)).size == expected


def test_what_was_resized_is_not_resized_a_second_time(tokenizer):
    processor = Processor(tokenizer, image_processor(), None, max_pixels=2048)
    given = noise(150, 70)
    once = processor.resized(given)
    assert processor.resized(once) is once
    by_itself = Processor(tokenizer, image_processor(), None).encode_pictures([once])
    both = processor.encode_pictures([given])
    assert both["pixel_values"].equal(by_itself["pixel_values"])
    assert processor.visual_tokens(both["image_grid_thw"]) == [once.width * once.height // 256]


def test_without_a_limit_or_with_a_high_one_the_checkpoints_own_counts(tokenizer):
    given = noise(150, 70)
    own = Processor(tokenizer, image_processor(), None).encode_pictures([given])
    high = Processor(tokenizer, image_processor(), None, max_pixels=10**6).encode_pictures([given])
    assert own["image_grid_thw"].equal(high["image_grid_thw"])
    assert own["image_grid_thw"].prod() * 64 <= MOST


def test_the_limit_is_the_protocols(tokenizer):
    limited = FULL.model_copy(update={"max_pixels": 2048})
    processor = Processor(tokenizer, image_processor(), None).following(limited)
    assert processor.resized(noise(128, 64)).size == (64, 32)
    assert processor.following(FULL).max_pixels is None


def test_squares_are_squares_whatever_the_limit(tokenizer):
    processor = Processor(tokenizer, image_processor(), 64, max_pixels=2048)
    assert processor.resized(Image.new("RGB", (10, 300))).size == (64, 64)
