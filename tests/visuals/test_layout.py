import pytest
from PIL import Image

from spatialreward.visuals.layout import GAP, SheetLayout, beside, fitted, stack
from spatialreward.visuals.text import RULE

RED, BLUE = (255, 0, 0), (0, 0, 255)


def test_blocks_are_stacked_with_margins_and_gaps():
    page = stack([Image.new("RGB", (10, 20), "red")] * 2, 50, margin=5, gap=3)
    assert page.size == (50, 5 + 20 + 3 + 20 + 5)
    assert page.getpixel((5, 5)) == RED
    assert page.getpixel((5, 26)) == (255, 255, 255)


def test_blocks_beside_each_other_stand_in_columns_and_the_last_may_be_wider():
    row = beside([Image.new("RGB", (10, 20), "red"), Image.new("RGB", (30, 5), "blue")], 15, 2)
    assert row.size == (15 + 2 + 30, 20)
    assert (row.getpixel((0, 0)), row.getpixel((17, 0))) == (RED, BLUE)
    assert row.getpixel((10, 0)) == (255, 255, 255)


@pytest.mark.parametrize(
    ("size", "shown", "squares"),
    [((2, 1), (100, 50), True), ((400, 100), (100, 25), False), ((80, 40), (100, 50), False)],
)
def test_a_picture_keeps_its_shape_and_a_small_one_its_pixels(size, shown, squares):
    picture = Image.new("RGB", size, "red")
    picture.paste("blue", (size[0] // 2, 0, *size))
    drawn = fitted(picture, (100, 100))
    assert drawn.size == shown
    assert (len(drawn.getcolors()) == 2) is squares


def test_a_sheets_cells_are_centred_and_a_missing_one_stays_empty():
    layout = SheetLayout(cell=40, text_width=60)
    pictures = [layout.fitted(Image.new("RGB", (80, 20), "red"))]
    row = layout.row("title", pictures, Image.new("RGB", (60, 10), "blue"))
    assert row.width == layout.width == 3 * (40 + GAP) + 60 + 2 * GAP
    top = row.height - 1 - GAP - 40
    left = GAP + 3 * (40 + GAP)
    places = {"above": (GAP, top), "red": (GAP, top + 20), "empty": (GAP + 52, top + 20)}
    assert {name: row.getpixel(place) for name, place in places.items()} == {
        "above": RULE,
        "red": RED,
        "empty": (255, 255, 255),
    }
    assert row.getpixel((left, top)) == BLUE
    assert layout.sheet(["one"], [row] * 2).height > 2 * row.height
