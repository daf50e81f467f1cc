import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageChops

from spatialreward.errors import Failure
from spatialreward.records import AnswerForm, EditRegion, Judgement
from spatialreward.visuals.regions import (
    COLOURS,
    colour_of,
    draw_dashed,
    draw_regions,
    pixel_box,
    why_no_regions,
)


def region(box, number=0, label="a"):
    return EditRegion(id=number, label=label, bbox_2d=box)


@pytest.mark.parametrize(
    ("box", "size", "expected"),
    [
        ((0, 0, 1000, 1000), (64, 48), (0, 0, 63, 47)),
        ((250, 500, 500, 1000), (64, 48), (16, 24, 31, 47)),
        ((999, 999, 1000, 1000), (64, 48), (63, 47, 63, 47)),
        ((0, 0, 1, 1), (1, 1), (0, 0, 0, 0)),
    ],
)
def test_a_box_covers_the_pixels_it_touches(box, size, expected):
    assert pixel_box(region(box), size) == expected


sides = st.tuples(st.integers(0, 999), st.integers(1, 1000)).filter(lambda side: side[0] < side[1])


@given(sides, sides, st.integers(1, 90), st.integers(1, 90))
def test_any_box_can_be_drawn_on_any_picture(x, y, width, height):
    one = region((x[0], y[0], x[1], y[1]), label="a long label")
    picture = Image.new("RGB", (width, height), "white")
    for drawn in (draw_regions(picture, [one], text_size=15), draw_dashed(picture, [one])):
        assert drawn.size == (width, height)
    left, top, right, bottom = pixel_box(one, picture.size)
    assert 0 <= left <= right < width
    assert 0 <= top <= bottom < height


def test_the_picture_itself_is_left_alone():
    picture = Image.new("RGB", (100, 100), "white")
    draw_regions(picture, [region((0, 0, 500, 500))], text_size=15)
    draw_dashed(picture, [region((0, 0, 500, 500))])
    assert picture.getextrema() == ((255, 255),) * 3


def test_an_outline_runs_along_the_box_and_leaves_its_inside_alone():
    picture = Image.new("RGB", (500, 500), "white")
    drawn = draw_regions(picture, [region((200, 200, 800, 800))], text_size=None)
    assert drawn.getpixel((100, 250)) == COLOURS[0]
    assert drawn.getpixel((250, 250)) == (255, 255, 255)
    assert drawn.getpixel((50, 50)) == (255, 255, 255)


def test_a_thin_outline_is_thinner():
    picture = Image.new("RGB", (1200, 1200), "white")
    thin, thick = (
        draw_regions(picture, [region((200, 200, 800, 800))], text_size=None, thin=thin)
        for thin in (True, False)
    )
    counts = [{colour: n for n, colour in one.getcolors()}[COLOURS[0]] for one in (thin, thick)]
    assert 0 < counts[0] < counts[1]


@pytest.mark.parametrize("background", ["black", "white", COLOURS[0]])
def test_an_outline_shows_on_any_background(background):
    picture = Image.new("RGB", (300, 300), background)
    drawn = draw_regions(picture, [region((200, 200, 800, 800))], text_size=None)
    assert len(drawn.getcolors()) >= 2


def test_regions_at_one_place_keep_their_tags_apart():
    picture = Image.new("RGB", (400, 400), "white")
    boxes = [region((300, 300, 600, 600), number, "same") for number in range(3)]
    drawn = draw_regions(picture, boxes, text_size=15)
    tagged = {colour for count, colour in drawn.getcolors(10_000) if count > 300}
    assert {colour_of(0), colour_of(1), colour_of(2)} <= tagged


def test_a_long_label_stays_inside_the_picture():
    picture = Image.new("RGB", (200, 100), "white")
    drawn = draw_regions(picture, [region((900, 500, 1000, 900), label="word " * 50)], text_size=15)
    assert drawn.size == (200, 100)


def test_dashes_are_black_and_white():
    picture = Image.new("RGB", (100, 100), "gray")
    drawn = draw_dashed(picture, [region((100, 100, 900, 900))])
    assert {colour for _, colour in drawn.getcolors()} == {
        (0, 0, 0),
        (128, 128, 128),
        (255, 255, 255),
    }
    assert ImageChops.difference(picture, drawn).getbbox() == (10, 10, 90, 90)


def test_no_regions_are_none_found_or_none_predicted():
    found = Judgement.failed("no JSON", Failure.NOT_JSON)
    predicted = found.model_copy(update={"answer": AnswerForm.SCORES})
    assert why_no_regions(found) == "No edit region found"
    assert why_no_regions(predicted) == "This judge predicts no regions"
