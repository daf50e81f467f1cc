"""One judgement as a picture: its regions on the edited picture, its verdict below."""

import re

from PIL import Image, ImageDraw

from spatialreward.records import MAX_SCORE, Judgement, Scores
from spatialreward.visuals.regions import colour_of, draw_regions
from spatialreward.visuals.text import (
    ALARM,
    FAINT_INK,
    INK,
    PAPER,
    RULE,
    font_for,
    line_height,
    paragraph,
    stack,
)

SHORTEST_DISPLAY = 640
LONGEST_DISPLAY = 2048
NARROWEST_PANEL = 480
SCORE_NAMES = {
    "editing_success": "Editing success",
    "over_editing": "No over-editing",
    "naturalness": "Naturalness",
    "artifact_freedom": "No artifacts",
}
_REGION_REFERENCE = re.compile(r"<\|bbox_(\d+)\|>")
_REASONING_LINES = 10


def draw_overlay(
    edited: Image.Image, judgement: Judgement, *, instruction: str = "", notice: str = ""
) -> Image.Image:
    """Draw a judgement on the edited picture and below it.

    The picture keeps its resolution as long as its longest side is within ``SHORTEST_DISPLAY`` and
    ``LONGEST_DISPLAY`` pixels; a smaller one is enlarged so that labels are legible. A failed
    judgement shows its reason in place of the scores.
    """
    picture = _for_display(edited.convert("RGB"))
    text_size = max(15, min(max(picture.size) // 44, 34))
    drawn = draw_regions(picture, judgement.regions, text_size=text_size)
    width = max(drawn.width, NARROWEST_PANEL)
    panel = _panel(judgement, width, text_size, instruction, notice)
    page = Image.new("RGB", (width, drawn.height + panel.height), RULE)
    page.paste(drawn, ((width - drawn.width) // 2, 0))
    page.paste(panel, (0, drawn.height))
    return page


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
    if longest > LONGEST_DISPLAY:
        scale, how = LONGEST_DISPLAY / longest, Image.Resampling.LANCZOS
    elif longest < SHORTEST_DISPLAY / 2:
        # Whole multiples, so that the pixels of a small scene stay the squares they are.
        scale, how = -(-SHORTEST_DISPLAY // longest), Image.Resampling.NEAREST
    elif longest < SHORTEST_DISPLAY:
        scale, how = SHORTEST_DISPLAY / longest, Image.Resampling.LANCZOS
    else:
        return picture
    width, height = (max(1, round(side * scale)) for side in picture.size)
    return picture.resize((width, height), how)


def _panel(
    judgement: Judgement, width: int, size: int, instruction: str, notice: str
) -> Image.Image:
    inner = width - 2 * size
    small = max(13, round(size * 0.85))
    blocks = []
    if instruction:
        blocks.append(paragraph(f"“{instruction}”", inner, size, bold=True, max_lines=4))
    if judgement.scores is None or judgement.reward is None:
        blocks.append(paragraph("No judgement", inner, round(size * 1.6), bold=True, colour=ALARM))
        blocks.append(paragraph(judgement.reason, inner, size, colour=ALARM, max_lines=8))
    else:
        reward = f"Reward {judgement.reward:.3f}"
        blocks.append(paragraph(reward, inner, round(size * 1.6), bold=True))
        blocks.append(score_bars(judgement.scores, inner, size))
        blocks.append(_region_list(judgement, inner, small))
    for text in (judgement.sc_reasoning, judgement.pq_reasoning):
        if text:
            blocks.append(paragraph(readable(text), inner, small, max_lines=_REASONING_LINES))
    if notice:
        blocks.append(paragraph(notice, inner, small, colour=FAINT_INK, max_lines=4))
    return stack(blocks, width, margin=size, gap=round(size * 0.7))


def _region_list(judgement: Judgement, width: int, size: int) -> Image.Image:
    if not judgement.regions:
        return paragraph("No edit region found", width, size, colour=FAINT_INK)
    rows = []
    step, indent = line_height(size), 2 * size
    for position, region in enumerate(judgement.regions):
        label = region.label or "(no label)"
        text = paragraph(f"{region.id}: {label}", width - indent, size, max_lines=2)
        row = Image.new("RGB", (width, text.height), PAPER)
        row.paste(text, (indent, 0))
        side = size * 3 // 4
        top = (step - side) // 2
        ImageDraw.Draw(row).rectangle((0, top, side, top + side), colour_of(position), INK)
        rows.append(row)
    return stack(rows, width)


def _traffic_light(score: float) -> tuple[int, int, int]:
    """Red, amber, green by thirds; dark enough to show on paper."""
    if score < MAX_SCORE / 3:
        return 200, 55, 45
    return (222, 155, 20) if score < 2 * MAX_SCORE / 3 else (38, 140, 80)
