import json

import pytest
from transformers import Qwen3VLConfig

from spatialreward.errors import InvalidInputError
from spatialreward.judges.engines.engine import Judge
from spatialreward.judges.qwen_vl.limits import check_limits
from spatialreward.judges.qwen_vl.processor import Processor
from spatialreward.protocol.choice import place_of
from spatialreward.protocol.prompts import FULL, PROTOCOL_FILE, TINY
from tests.judges.models import copied, image_processor, small_model, write_model

PLACE = "judge/protocol.json"
SHORT = TINY.model_copy(
    update={"semantic": "{instruction}{source}{edited}", "square_side": None, "max_pixels": 4096}
)
"""Pictures of 4,096 pixels at most, in an SC prompt of few words."""


@pytest.fixture(scope="module")
def processor(untrained):
    """1,024 to 4,096 pixels a picture, 256 a token."""
    return Processor(untrained[1].tokenizer, image_processor(), None)


def config(positions):
    return Qwen3VLConfig(text_config={"max_position_embeddings": positions})


def words(processor):
    """Tokens of the prompt without pictures, as a question without any has them."""
    text = (
        "<|im_start|>user<|vision_start|><|vision_end|><|vision_start|><|vision_end|><|im_end|>"
        "<|im_start|>"
    )
    return len(processor.tokenizer(text, add_special_tokens=False)["input_ids"])


def check(processor, positions, **changes):
    check_limits(SHORT.model_copy(update=changes), PLACE, config(positions), processor)


def test_a_prompt_with_its_pictures_and_the_longest_answer_just_fits(processor):
    # Two pictures of 4,096 pixels take 32 tokens.
    check(processor, words(processor) + 32 + 208)
    with pytest.raises(
        InvalidInputError,
        match=r"^judge/protocol\.json: max_pixels: with 4,096 two pictures take 32 tokens, "
        r"expected 31 at most beside the prompt and the longest answer \(max_position_embeddings",
    ):
        check(processor, words(processor) + 32 + 207)


def test_an_answer_that_fits_beside_no_picture_is_too_long(processor):
    # Two pictures of 1,024 pixels, the least that the image processor makes, take 8 tokens.
    check(processor, words(processor) + 8 + 208, max_pixels=1024)
    with pytest.raises(
        InvalidInputError,
        match=r"^judge/protocol\.json: max_answer_tokens: expected 207 at most, .*, got 208",
    ):
        check(processor, words(processor) + 8 + 207, max_pixels=1024)


def test_pictures_without_a_limit_are_taken_for_the_smallest(processor):
    check(processor, words(processor) + 8 + 208, max_pixels=None)
    with pytest.raises(InvalidInputError, match="max_answer_tokens: expected 0 at most"):
        check(processor, 9, max_pixels=None)


@pytest.mark.parametrize(
    ("limits", "message"),
    [
        ({"max_pixels": 1000}, "max_pixels: expected 1,024 at least, .*, got 1,000"),
        ({"square_side": 40}, "square_side: expected a multiple of 16, patch_size times merge_s"),
        ({"square_side": 16}, "square_side: expected pictures of 1,024 to 4,096 pixels, .*16 x 16"),
        ({"square_side": 80}, "square_side: expected pictures of 1,024 to 4,096 pixels, .*80 x 80"),
    ],
)
def test_pictures_that_the_image_processor_would_resize_again_are_refused(
    processor, limits, message
):
    with pytest.raises(InvalidInputError, match=f"^{PLACE}: {message}"):
        check(processor, 8192, **limits)


def test_a_judge_whose_protocol_asks_for_too_much_is_not_loaded(untrained, tmp_path):
    tokenizer = untrained[1].tokenizer
    folder = write_model(tmp_path / "model", small_model("qwen3_vl", tokenizer), tokenizer)
    long = TINY.model_copy(update={"max_answer_tokens": 5000})
    own = copied(folder, tmp_path / "own")
    long.write(own)
    given = tmp_path / "long.json"
    given.write_text(json.dumps(long.model_dump(mode="json")))
    for where, protocol, named in (
        (own, None, own / PROTOCOL_FILE),
        (folder, given, given),
    ):
        with pytest.raises(InvalidInputError) as caught:
            Judge.load(where, protocol=protocol)
        assert str(caught.value).startswith(f"{named}: max_answer_tokens: expected ")
        assert "(max_position_embeddings in config.json is 4,096), got 5,000" in str(caught.value)
    Judge.load(folder, protocol="tiny")


def test_a_protocol_of_the_library_is_named_as_such(tmp_path):
    assert place_of(tmp_path) == f"protocol {FULL.name}"
    assert place_of(tmp_path, "tiny") == "protocol tiny"
