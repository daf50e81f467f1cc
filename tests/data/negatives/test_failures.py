import numpy as np
from PIL import Image, ImageOps

from spatialreward.data.negatives import failures
from spatialreward.images import decode_image
from spatialreward.records import Scores
from tests.data.packing.making import ANNOTATION

ASKED = ANNOTATION.model_copy(update={"sc_reasoning": f"asked a hat. {ANNOTATION.sc_reasoning}"})


def test_what_shows_something_else_is_changed_as_a_whole_and_earns_nothing():
    label = failures.replaced(ASKED, failures.NOT_OF_SOURCE)
    assert label.sc_reasoning == (
        "asked a hat. <|bbox_0|> no edit of the source, not asked. <|global|> nothing is done"
    )
    [region] = label.regions
    assert (region.label, region.bbox_2d) == ("the whole picture", (0, 0, 1000, 1000))
    # The picture itself is the same, so what is said of its looks is too.
    assert label.scores == Scores(
        editing_success=0, over_editing=0, naturalness=20, artifact_freedom=5
    )
    assert label.pq_reasoning == ASKED.pq_reasoning
    assert label.reward == 0
    assert label.judged_by == ASKED.judged_by


def test_a_picture_that_is_none_looks_like_nothing():
    label = failures.unseen(ASKED, failures.NOTHING_BUT_BLACK)
    assert set(label.scores.given().values()) == {0}
    assert label.pq_reasoning == "<|global|> nothing but black"
    assert label.reward == 0


def test_a_source_without_a_change_is_not_over_edited_and_nothing_is_done():
    label = failures.untouched(ANNOTATION)
    assert label.scores == Scores(editing_success=0, over_editing=25)
    assert (label.regions, label.pq_reasoning) == ((), "")
    assert label.sc_reasoning == "<|global|> nothing is done, nothing is changed"
    # Of the SC stream alone: (0.6 x 0 + 0.4 x 25) / 2.5 = 4 of 10.
    assert label.reward == 0.4


def test_what_another_picture_looks_like_is_left_out():
    label = failures.semantic_alone(failures.replaced(ANNOTATION, failures.NOT_OF_SOURCE))
    assert not label.scores.is_perceptual
    assert label.pq_reasoning == ""


def test_pictures_are_what_they_are_called():
    assert failures.black((4, 3)).getextrema() == ((0, 0),) * 3
    first, second = (failures.noise((64, 32), np.random.default_rng(seed)) for seed in (1, 2))
    assert first.size == (64, 32)
    assert first.tobytes() != second.tobytes()
    assert failures.mirrored(first).tobytes() == ImageOps.mirror(first).tobytes()
    assert decode_image(failures.to_file(first), "noise").tobytes() == first.tobytes()


def test_a_picture_that_looks_the_same_in_a_mirror_is_even():
    even = Image.new("RGB", (8, 8), (10, 20, 30))
    half = even.copy()
    half.paste((200, 200, 200), (0, 0, 4, 8))
    assert failures.is_even(even)
    assert not failures.is_even(half)
