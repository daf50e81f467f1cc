import pytest

from spatialreward.visuals.text import font_for, is_covered, paragraph, wrap

FONT = font_for("", 16)


def test_lines_fit_their_width():
    text = "Replace the red bicycle with a blue one " * 10
    assert all(FONT.getlength(line) <= 200 for line in wrap(text, FONT, 200))
    assert " ".join(wrap(text, FONT, 200)) == text.strip()


def test_a_word_longer_than_a_line_is_broken_and_nothing_is_lost():
    lines = wrap("x" * 500, FONT, 100)
    assert len(lines) > 10
    assert "".join(lines) == "x" * 500


def test_what_does_not_fit_ends_with_an_ellipsis():
    lines = wrap("word " * 200, FONT, 100, max_lines=2)
    assert len(lines) == 2
    assert lines[1].endswith("…")
    assert FONT.getlength(lines[1]) <= 100


@pytest.mark.parametrize("text", ["", "a\n\nb\tc", "a\0b\ud800c", "圆形 قطة Добавь 🐈", "x"])
@pytest.mark.parametrize("width", [1, 80])
def test_any_text_can_be_drawn(text, width):
    block = paragraph(text, width, 16)
    assert block.width == width
    assert block.height > 0


@pytest.mark.parametrize(
    ("text", "covered"),
    [("", True), ("a\nb", True), ("é дом בית بيت", True), ("a\U000f1234", False)],
)
def test_a_text_is_covered_if_a_font_has_all_its_characters(text, covered):
    assert is_covered(text) is covered


def test_a_character_that_no_font_has_does_not_change_the_others_font():
    assert font_for("Paris \U000f1234", 16, bold=True).path == font_for("Paris", 16, bold=True).path


def test_text_leaves_ink():
    assert paragraph("ink", 80, 16).getextrema()[0][0] < 100
    assert paragraph("", 80, 16).getextrema()[0] == (255, 255)
