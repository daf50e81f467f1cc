import pytest
from PIL import Image

from spatialreward.records import EditRegion, Judgement, JudgementStatus, Scores
from spatialreward.visuals import draw_overlay
from spatialreward.visuals.overlay import readable, score_bars
from spatialreward.visuals.text import ALARM

JUDGED = Judgement(
    status=JudgementStatus.OK,
    regions=(EditRegion(id=0, label="a red circle", bbox_2d=(100, 100, 500, 500)),),
    sc_reasoning="<|bbox_0|> as asked <|global|> well done",
    pq_reasoning="clean",
    scores=Scores(editing_success=25, over_editing=20, naturalness=10, artifact_freedom=0),
    reward=0.7,
)
FAILED = Judgement(status=JudgementStatus.FAILED, reason="answer is not JSON")


@pytest.mark.parametrize(
    ("size", "shown"),
    [
        ((64, 64), (640, 640)),
        ((1, 1), (640, 640)),
        ((500, 250), (640, 320)),
        ((768, 512), (768, 512)),
        ((4000, 3000), (2048, 1536)),
    ],
)
def test_the_picture_is_shown_at_a_size_at_which_it_can_be_looked_at(size, shown):
    overlay = draw_overlay(Image.new("RGB", size, "navy"), JUDGED)
    assert overlay.width == shown[0]
    assert overlay.height > shown[1]
    assert overlay.getpixel((shown[0] - 1, shown[1] - 1)) == (0, 0, 128)
    assert overlay.getpixel((shown[0] - 1, shown[1] + 1)) == (255, 255, 255)


def test_a_narrow_picture_gets_a_panel_wide_enough_to_read():
    overlay = draw_overlay(Image.new("RGB", (10, 1000), "navy"), JUDGED)
    assert overlay.width == 480


@pytest.mark.parametrize("mode", ["L", "RGBA", "RGB"])
def test_any_mode_gives_rgb(mode):
    assert draw_overlay(Image.new(mode, (64, 64)), JUDGED).mode == "RGB"


def test_a_failed_judgement_is_red_and_a_good_one_is_not():
    picture = Image.new("RGB", (640, 640), "navy")
    assert ALARM in colours(draw_overlay(picture, FAILED))
    assert ALARM not in colours(draw_overlay(picture, JUDGED))


def test_instruction_and_notice_make_the_panel_longer():
    picture = Image.new("RGB", (640, 640))
    plain = draw_overlay(picture, JUDGED)
    told = draw_overlay(picture, JUDGED, instruction="add a circle", notice="beware")
    assert told.height > plain.height


def test_endless_reasoning_does_not_make_an_endless_picture():
    talkative = JUDGED.model_copy(
        update={"sc_reasoning": "so " * 5000, "regions": tuple(JUDGED.regions) * 3}
    )
    assert draw_overlay(Image.new("RGB", (640, 640)), talkative).height < 1400


def test_region_marks_become_readable():
    assert readable("<|bbox_0|> fine <|global|> good") == "[0] fine Overall: good"


def test_a_full_score_fills_its_bar_and_no_score_leaves_it_empty():
    bars = score_bars(JUDGED.scores, 600, 16)
    step = bars.height // 4
    row = [bars.getpixel((300, step // 2 + step * number)) for number in (0, 3)]
    assert row == [(38, 140, 80), (226, 229, 234)]


def colours(image):
    return {colour for _, colour in image.getcolors(image.width * image.height)}
