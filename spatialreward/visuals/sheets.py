"""Many judgements at a glance: one row an edit, with source, edited picture, boxes and scores."""

from collections.abc import Sequence
from typing import NamedTuple

from PIL import Image

from spatialreward.records import Judgement
from spatialreward.visuals.overlay import SCORE_NAMES
from spatialreward.visuals.regions import draw_dashed, draw_regions, why_no_regions
from spatialreward.visuals.text import ALARM, FAINT_INK, PAPER, RULE, paragraph, stack

_CELL = 224
_TEXT_WIDTH = 300
_GAP = 12
_TEXT_SIZE = 14
_WIDTH = 3 * (_CELL + _GAP) + _TEXT_WIDTH + 2 * _GAP


class SheetRow(NamedTuple):
    """One edit on a sheet."""

    source: Image.Image
    edited: Image.Image
    instruction: str
    judgement: Judgement
    truth: Judgement | None = None
    """What is known to be right, if anything is: dashed boxes, and scores in brackets."""


def sample_sheet(rows: Sequence[SheetRow]) -> Image.Image:
    """Draw rows of source, edited picture, edited picture with regions, and scores.

    Raises:
        ValueError: there are no rows.
    """
    if not rows:
        raise ValueError("expected at least one row to draw, got none")
    with_truth = any(row.truth is not None for row in rows)
    return stack([_header(with_truth), *(_row(row) for row in rows)], _WIDTH, background=PAPER)


def _header(with_truth: bool) -> Image.Image:
    boxes = "Regions (dashed: true)" if with_truth else "Regions"
    scores = "Scores (true)" if with_truth else "Scores"
    columns = [
        paragraph(name, width, _TEXT_SIZE, bold=True, background=RULE, max_lines=1)
        for name, width in (
            ("Source", _CELL),
            ("Edited", _CELL),
            (boxes, _CELL),
            (scores, _TEXT_WIDTH),
        )
    ]
    header = Image.new("RGB", (_WIDTH, columns[0].height + _GAP), RULE)
    for position, column in enumerate(columns):
        header.paste(column, (_GAP + position * (_CELL + _GAP), _GAP // 2))
    return header


def _row(row: SheetRow) -> Image.Image:
    edited = _fit(row.edited)
    boxes = draw_regions(edited, row.judgement.regions, text_size=None)
    if row.truth is not None:
        boxes = draw_dashed(boxes, row.truth.regions)
    verdict = _verdict(row.judgement, row.truth)
    title = paragraph(row.instruction, _WIDTH - 2 * _GAP, _TEXT_SIZE, bold=True, max_lines=3)
    height = max(_CELL, verdict.height)
    body = Image.new("RGB", (_WIDTH - 2 * _GAP, height), PAPER)
    for position, picture in enumerate((_fit(row.source), edited, boxes)):
        body.paste(_in_cell(picture), (position * (_CELL + _GAP), 0))
    body.paste(verdict, (3 * (_CELL + _GAP), 0))
    block = stack([title, body], _WIDTH, margin=_GAP, gap=_GAP // 2)
    block.paste(RULE, (0, block.height - 1, _WIDTH, block.height))
    return block


def _verdict(judgement: Judgement, truth: Judgement | None) -> Image.Image:
    if judgement.scores is None or judgement.reward is None:
        blocks = [
            paragraph("No judgement", _TEXT_WIDTH, _TEXT_SIZE + 4, bold=True, colour=ALARM),
            paragraph(judgement.reason, _TEXT_WIDTH, _TEXT_SIZE, colour=ALARM, max_lines=7),
        ]
        return stack(blocks, _TEXT_WIDTH, gap=4)
    known = truth.scores.given() if truth is not None and truth.scores is not None else {}
    reward = f"Reward {judgement.reward:.3f}"
    if truth is not None and truth.reward is not None:
        reward += f" ({truth.reward:.3f})"
    blocks = [paragraph(reward, _TEXT_WIDTH, _TEXT_SIZE + 4, bold=True)]
    for field, score in judgement.scores.given().items():
        line = f"{SCORE_NAMES[field]}  {score:.1f}"
        line += f" ({known[field]:.1f})" if field in known else ""
        blocks.append(paragraph(line, _TEXT_WIDTH, _TEXT_SIZE))
    labels = "; ".join(f"{region.id} {region.label}" for region in judgement.regions)
    told = labels or why_no_regions(judgement)
    blocks.append(paragraph(told, _TEXT_WIDTH, 13, colour=FAINT_INK, max_lines=4))
    return stack(blocks, _TEXT_WIDTH, gap=4)


def _fit(picture: Image.Image) -> Image.Image:
    """The picture as large as a cell holds; a small one keeps its pixels as squares."""
    scale = _CELL / max(picture.size)
    how = Image.Resampling.NEAREST if scale >= 2 else Image.Resampling.LANCZOS
    width, height = (max(1, round(side * scale)) for side in picture.size)
    return picture.convert("RGB").resize((width, height), how)


def _in_cell(picture: Image.Image) -> Image.Image:
    cell = Image.new("RGB", (_CELL, _CELL), RULE)
    cell.paste(picture, ((_CELL - picture.width) // 2, (_CELL - picture.height) // 2))
    return cell
