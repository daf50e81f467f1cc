import numpy as np
import pytest
from PIL import Image, ImageChops

from spatialreward.errors import Failure
from spatialreward.records import EditRegion, Judgement, JudgementStatus, Scores
from spatialreward.visuals import draw_overlay
from spatialreward.visuals.overlay import readable, score_bars
from spatialreward.visuals.regions import colour_of
from spatialreward.visuals.text import ALARM, FAINT_INK

JUDGED = Judgement(
    status=JudgementStatus.OK,
    regions=(EditRegion(id=0, label="a red circle", bbox_2d=(100, 100, 500, 500)),),
    sc_reasoning="<|bbox_0|> as asked <|global|> well done",
    pq_reasoning="clean",
    scores=Scores(editing_success=25, over_editing=20, naturalness=10, artifact_freedom=0),
    reward=0.7,
)
FAILED = Judgement.failed("answer is not JSON", Failure.NOT_JSON)


EDITED = Image.new("RGB", (640, 640), "navy")
SOURCE = Image.new("RGB", (640, 640), "teal")
NAVY, TEAL = (0, 0, 128), (0, 128, 128)
PLAIN = JUDGED.model_copy(update={"regions": ()})


def place_of(page, colour):
    """Left, top, width and height of what is drawn in exactly this colour."""
    is_it = (np.asarray(page) == colour).all(axis=2)
    rows, columns = np.flatnonzero(is_it.any(axis=1)), np.flatnonzero(is_it.any(axis=0))
    left, top = columns[0], rows[0]
    return left, top, columns[-1] + 1 - left, rows[-1] + 1 - top


@pytest.mark.parametrize(
    ("size", "shown"),
    [
        ((64, 64), (640, 640)),
        ((1, 1), (640, 640)),
        ((500, 250), (640, 320)),
        ((768, 512), (768, 512)),
        ((4000, 3000), (1280, 960)),
        ((3000, 300), (1280, 128)),
        ((300, 3000), (128, 1280)),
    ],
)
def test_both_pictures_are_shown_side_by_side_at_a_size_at_which_they_can_be_looked_at(size, shown):
    page = draw_overlay(Image.new("RGB", size, "teal"), Image.new("RGB", size, "navy"), PLAIN)
    source, edited = place_of(page, TEAL), place_of(page, NAVY)
    assert source[2:] == edited[2:] == shown
    assert source[1] == edited[1]
    assert source[0] + source[2] < edited[0]
    assert edited[0] + edited[2] < page.width
    assert edited[1] + edited[3] < page.height


@pytest.mark.parametrize(
    ("size", "shown"),
    [((3000, 1000), (640, 213)), ((100, 400), (160, 640)), ((20, 20), (640, 640))],
)
def test_a_source_of_another_size_keeps_its_shape_within_the_edited_pictures(size, shown):
    page = draw_overlay(Image.new("RGB", size, "teal"), EDITED, PLAIN)
    assert place_of(page, TEAL)[2:] == shown
    assert place_of(page, NAVY)[2:] == (640, 640)


def test_regions_are_outlined_on_the_source_if_it_has_the_edited_pictures_shape():
    def coloured_left_of_the_edited_picture(source):
        page = draw_overlay(source, EDITED, JUDGED)
        left, top, _, height = place_of(page, NAVY)
        return colour_of(0) in colours(page.crop((0, top, left, top + height)))

    assert coloured_left_of_the_edited_picture(SOURCE)
    assert coloured_left_of_the_edited_picture(SOURCE.resize((1281, 1290)))
    assert not coloured_left_of_the_edited_picture(SOURCE.resize((640, 480)))


def test_further_sources_are_shown_below_the_two():
    references = [Image.new("RGB", (30, 20), "red"), Image.new("RGB", (20, 90), "lime")] * 3
    page = draw_overlay(SOURCE, EDITED, PLAIN, references=references)
    bottom = sum(place_of(page, NAVY)[1::2])
    for colour in ((255, 0, 0), (0, 255, 0)):
        assert place_of(page, colour)[1] > bottom


@pytest.mark.parametrize("size", [(10, 1000), (1000, 10), (64, 64), (3000, 4000)])
@pytest.mark.parametrize("judgement", [JUDGED, FAILED])
def test_nothing_is_cut_off_at_the_margins(size, judgement):
    picture = Image.new("RGB", size, "navy")
    page = draw_overlay(
        picture, picture, judgement, instruction="Make it red. " * 150, notice="beware " * 200
    )
    empty = ImageChops.difference(page, Image.new("RGB", page.size, "white")).getbbox()
    assert min(empty[:2]) >= 10
    assert page.width - empty[2] >= 10
    assert page.height - empty[3] >= 10


@pytest.mark.parametrize("mode", ["L", "RGBA", "RGB"])
def test_any_mode_gives_rgb(mode):
    picture = Image.new(mode, (64, 64))
    assert draw_overlay(picture, picture, JUDGED).mode == "RGB"


def test_a_failed_judgement_is_red_and_says_why_and_a_good_one_is_not_red():
    short, long = (
        draw_overlay(SOURCE, EDITED, Judgement.failed(reason, Failure.WRONG_FORM))
        for reason in ("answer is not JSON", "answer is not JSON " * 20)
    )
    assert ALARM in colours(short)
    assert long.height > short.height
    assert ALARM not in colours(draw_overlay(SOURCE, EDITED, JUDGED))


def test_an_instruction_of_2000_characters_is_shown_whole_whatever_its_script():
    for text in ("Replace the sky by a sunset. " * 69, "把天空换成日落" * 286):
        whole = draw_overlay(SOURCE, EDITED, JUDGED, instruction=text[:2000])
        shorter = draw_overlay(SOURCE, EDITED, JUDGED, instruction=text[:1800])
        assert whole.height > shorter.height


def test_instruction_and_notice_make_the_page_longer():
    plain = draw_overlay(SOURCE, EDITED, JUDGED)
    told = draw_overlay(SOURCE, EDITED, JUDGED, instruction="add a circle")
    noticed = draw_overlay(SOURCE, EDITED, JUDGED, instruction="add a circle", notice="beware")
    assert plain.height < told.height < noticed.height


def test_a_character_without_a_glyph_is_explained():
    known = draw_overlay(SOURCE, EDITED, JUDGED, instruction="add дом בית بيت")
    unknown = draw_overlay(SOURCE, EDITED, JUDGED, instruction="add \U000f1234")
    assert unknown.height > known.height


def test_a_judge_that_was_not_asked_for_regions_is_not_said_to_have_found_none():
    scores = Scores(naturalness=20, artifact_freedom=20)
    of_one_stream = PLAIN.model_copy(update={"scores": scores, "sc_reasoning": ""})
    right = [
        draw_overlay(SOURCE, EDITED, judgement).crop((665, 660, 1320, 720))
        for judgement in (of_one_stream.model_copy(update={"pq_reasoning": ""}), PLAIN)
    ]
    assert [(28, 32, 38) in colours(one) or FAINT_INK in colours(one) for one in right] == [
        False,
        True,
    ]


def test_endless_reasoning_does_not_make_an_endless_picture():
    talkative = JUDGED.model_copy(
        update={"sc_reasoning": "so " * 5000, "regions": tuple(JUDGED.regions) * 3}
    )
    assert draw_overlay(SOURCE, EDITED, talkative).height < 1400


def test_region_marks_become_readable():
    assert readable("<|bbox_0|> fine <|global|> good") == "[0] fine Overall: good"


def test_a_full_score_fills_its_bar_and_no_score_leaves_it_empty():
    bars = score_bars(JUDGED.scores, 600, 16)
    step = bars.height // 4
    row = [bars.getpixel((300, step // 2 + step * number)) for number in (0, 3)]
    assert row == [(38, 140, 80), (226, 229, 234)]


def colours(image):
    return {colour for _, colour in image.getcolors(image.width * image.height)}
