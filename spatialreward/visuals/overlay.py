"""One judgement as a picture: what was asked, both pictures side by side, the verdict."""

import re
from collections.abc import Sequence

from PIL import Image, ImageDraw, ImageOps

from spatialreward.records import MAX_SCORE, Judgement, Scores
from spatialreward.visuals.layout import beside, fitted, stack
from spatialreward.visuals.regions import colour_of, draw_regions, why_no_regions
from spatialreward.visuals.text import (
    ALARM,
    FAINT_INK,
    INK,
    PAPER,
    RULE,
    Colour,
    font_for,
    is_covered,
    line_height,
    paragraph,
)

SHORTEST_DISPLAY = 640
LONGEST_DISPLAY = 1280
NARROWEST_COLUMN = 480
"""Of the two columns, in pixels."""
SCORE_NAMES = {
    "editing_success": "Editing success",
    "over_editing": "No over-editing",
    "naturalness": "Naturalness",
    "artifact_freedom": "No artifacts",
}
_REGION_REFERENCE = re.compile(r"<\|bbox_(\d+)\|>")
_REASONING_LINES = 14
_REASON_LINES = 8
# A long instruction is no headline.
_HEADLINE_CHARACTERS = 300
_INSTRUCTION_LINES = 60
# Columns of this many letters' heights hold a bar beside its name and figure.
_NARROWEST_IN_LETTERS = 24
_FRAME_PX = 1
_NO_GLYPH = "Boxes in a text are characters that no font on this machine has."
_REFERENCES_IN_A_ROW = 4
# Boxes of the edited picture are drawn on the source if its shape is the same up to this.
_SAME_SHAPE = 1.02


def draw_overlay(
    source: Image.Image,
    edited: Image.Image,
    judgement: Judgement,
    *,
    references: Sequence[Image.Image] = (),
    instruction: str = "",
    notice: str = "",
) -> Image.Image:
    """Draw an edit and its judgement: the instruction, both pictures side by side, the verdict.

    The edited picture keeps its resolution as long as its longest side is within
    ``SHORTEST_DISPLAY`` and ``LONGEST_DISPLAY`` pixels; a smaller one is enlarged so that labels
    are legible. The source is shown as large as fits in the same place, with thin outlines of the
    regions if it has the edited picture's shape. A failed judgement shows its reason in place of
    the scores.

    Args:
        source: picture before the edit; any size.
        edited: picture after it.
        judgement: of the two.
        references: further source pictures, shown small below.
        instruction: what was asked for.
        notice: what a reader must know about the judge.
    """
    shown = _for_display(edited.convert("RGB"))
    size = max(15, min(max(shown.size) // 44, 30))
    column = max(shown.width + 2 * _FRAME_PX, NARROWEST_COLUMN, _NARROWEST_IN_LETTERS * size)
    width = 2 * column + 3 * size
    inner = width - 2 * size
    blocks = []
    if instruction:
        blocks.append(_instruction(instruction, inner, size))
    before = fitted(source, shown.size)
    if _same_shape(source.size, edited.size):
        before = draw_regions(before, judgement.regions, text_size=None, thin=True)
    after = draw_regions(shown, judgement.regions, text_size=size)
    panes = [
        _pane("Source", source, before, column, size),
        _pane("Edited", edited, after, column, size),
    ]
    blocks.append(beside(panes, column, size))
    for first in range(0, len(references), _REFERENCES_IN_A_ROW):
        row = references[first : first + _REFERENCES_IN_A_ROW]
        blocks.append(_reference_row(row, first, inner, size))
    blocks += _verdict(judgement, column, size)
    labels = (region.label for region in judgement.regions)
    texts = (instruction, judgement.sc_reasoning, judgement.pq_reasoning, judgement.reason, *labels)
    for text in (notice, "" if all(map(is_covered, texts)) else _NO_GLYPH):
        if text:
            blocks.append(paragraph(text, inner, _small(size), colour=FAINT_INK, max_lines=4))
    return stack(blocks, width, margin=size, gap=size)


def readable(reasoning: str) -> str:
    """A judge's reasoning with its region marks as ``[0]`` and its last part announced."""
    return _REGION_REFERENCE.sub(r"[\1]", reasoning).replace("<|global|>", "Overall:").strip()


def score_bars(scores: Scores, width: int, size: int) -> Image.Image:
    """A row of name, bar and figure for each score that there is."""
    given = scores.given()
    step = line_height(size) + size // 4
    block = Image.new("RGB", (width, step * len(given)), PAPER)
    draw = ImageDraw.Draw(block)
    font = font_for("", size)
    name_width = round(max(font.getlength(name) for name in SCORE_NAMES.values())) + size
    figure_width = round(font.getlength("25.0 / 25")) + size // 2
    left, right = name_width, max(width - figure_width, name_width + 1)
    for row, (field, score) in enumerate(given.items()):
        middle, half = row * step + step // 2, size // 3
        end = left + round((right - left) * score / MAX_SCORE)
        draw.text((0, middle), SCORE_NAMES[field], INK, font, anchor="lm")
        draw.rectangle((left, middle - half, right, middle + half), RULE)
        if end > left:
            draw.rectangle((left, middle - half, end, middle + half), _traffic_light(score))
        draw.text((width - 1, middle), f"{score:.1f} / 25", INK, font, anchor="rm")
    return block


def _for_display(picture: Image.Image) -> Image.Image:
    longest = max(picture.size)
    if SHORTEST_DISPLAY <= longest <= LONGEST_DISPLAY:
        return picture
    side = min(max(longest, SHORTEST_DISPLAY), LONGEST_DISPLAY)
    if 2 * longest <= SHORTEST_DISPLAY:
        # Whole multiples, so that the pixels of a small scene stay the squares they are.
        side = longest * -(-SHORTEST_DISPLAY // longest)
    return fitted(picture, (side, side))


def _same_shape(one: tuple[int, int], other: tuple[int, int]) -> bool:
    ratio = one[0] * other[1] / (one[1] * other[0])
    return 1 / _SAME_SHAPE <= ratio <= _SAME_SHAPE


def _small(size: int) -> int:
    return max(13, round(size * 0.85))


def _instruction(instruction: str, width: int, size: int) -> Image.Image:
    is_headline = len(instruction) <= _HEADLINE_CHARACTERS
    return paragraph(
        f"“{instruction}”",
        width,
        round(size * 1.15) if is_headline else size,
        bold=is_headline,
        max_lines=_INSTRUCTION_LINES,
    )


def _pane(
    name: str, original: Image.Image, shown: Image.Image, column: int, size: int
) -> Image.Image:
    """A picture under its name and its size in the file."""
    width, height = original.size
    caption = paragraph(f"{name}, {width} by {height}", column, _small(size), max_lines=2)
    return stack([caption, ImageOps.expand(shown, _FRAME_PX, RULE)], column, gap=size // 3)


def _reference_row(
    references: Sequence[Image.Image], first: int, width: int, size: int
) -> Image.Image:
    column = (width + size) // _REFERENCES_IN_A_ROW - size
    most = (column - 2 * _FRAME_PX,) * 2
    panes = [
        _pane(f"Reference {number}", each, fitted(each, most), column, size)
        for number, each in enumerate(references, first + 1)
    ]
    return beside(panes, column, size)


def _verdict(judgement: Judgement, column: int, size: int) -> list[Image.Image]:
    """Reward and scores on the left, regions and reasoning on the right."""
    reasoning = [
        paragraph(readable(text), column, _small(size), max_lines=_REASONING_LINES)
        for text in (judgement.sc_reasoning, judgement.pq_reasoning)
        if text
    ]
    gap = round(size * 0.7)
    if judgement.scores is None or judgement.reward is None:
        wide = 2 * column + size
        title = paragraph("No judgement", wide, round(size * 1.6), bold=True, colour=ALARM)
        reason = paragraph(judgement.reason, wide, size, colour=ALARM, max_lines=_REASON_LINES)
        return [stack([title, reason, *reasoning], wide, gap=gap)]
    reward = paragraph(f"Reward {judgement.reward:.3f}", column, round(size * 1.6), bold=True)
    left = [reward, score_bars(judgement.scores, column, size)]
    right = reasoning
    if judgement.scores.editing_success is not None:
        right = [_region_list(judgement, column, _small(size)), *reasoning]
    columns = [stack(blocks, column, gap=gap) for blocks in (left, right)]
    return [beside(columns, column, size)]


def _region_list(judgement: Judgement, width: int, size: int) -> Image.Image:
    if not judgement.regions:
        return paragraph(why_no_regions(judgement), width, size, colour=FAINT_INK)
    rows = []
    step, side = line_height(size), size * 3 // 4
    indent, top = 2 * size, (step - side) // 2
    for position, region in enumerate(judgement.regions):
        label = region.label or "(no label)"
        text = paragraph(f"{region.id}: {label}", width - indent, size, max_lines=2)
        row = ImageOps.expand(text, (indent, 0, 0, 0), PAPER)
        ImageDraw.Draw(row).rectangle((0, top, side, top + side), colour_of(position), INK)
        rows.append(row)
    return stack(rows, width)


def _traffic_light(score: float) -> Colour:
    """Red, amber, green by thirds; dark enough to show on paper."""
    if score < MAX_SCORE / 3:
        return 200, 55, 45
    return (222, 155, 20) if score < 2 * MAX_SCORE / 3 else (38, 140, 80)
