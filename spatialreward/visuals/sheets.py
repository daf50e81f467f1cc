"""Many judgements at a glance: one row an edit, with source, edited picture, boxes and scores."""

from collections.abc import Sequence
from typing import NamedTuple

from PIL import Image

from spatialreward.records import Judgement
from spatialreward.visuals.layout import TEXT_SIZE, SheetLayout, stack
from spatialreward.visuals.overlay import SCORE_NAMES
from spatialreward.visuals.regions import draw_dashed, draw_regions, why_no_regions
from spatialreward.visuals.text import ALARM, FAINT_INK, paragraph

_LAYOUT = SheetLayout(cell=224, text_width=300)


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
    boxes = "Regions (dashed: true)" if with_truth else "Regions"
    scores = "Scores (true)" if with_truth else "Scores"
    return _LAYOUT.sheet(("Source", "Edited", boxes, scores), map(_row, rows))


def _row(row: SheetRow) -> Image.Image:
    edited = _LAYOUT.fitted(row.edited)
    boxes = draw_regions(edited, row.judgement.regions, text_size=None)
    if row.truth is not None:
        boxes = draw_dashed(boxes, row.truth.regions)
    pictures = [_LAYOUT.fitted(row.source), edited, boxes]
    return _LAYOUT.row(row.instruction, pictures, _verdict(row.judgement, row.truth))


def _verdict(judgement: Judgement, truth: Judgement | None) -> Image.Image:
    width = _LAYOUT.text_width
    if judgement.scores is None or judgement.reward is None:
        blocks = [
            paragraph("No judgement", width, TEXT_SIZE + 4, bold=True, colour=ALARM),
            paragraph(judgement.reason, width, TEXT_SIZE, colour=ALARM, max_lines=7),
        ]
        return stack(blocks, width, gap=4)
    known = truth.scores.given() if truth is not None and truth.scores is not None else {}
    reward = f"Reward {judgement.reward:.3f}"
    if truth is not None and truth.reward is not None:
        reward += f" ({truth.reward:.3f})"
    blocks = [paragraph(reward, width, TEXT_SIZE + 4, bold=True)]
    for field, score in judgement.scores.given().items():
        line = f"{SCORE_NAMES[field]}  {score:.1f}"
        line += f" ({known[field]:.1f})" if field in known else ""
        blocks.append(paragraph(line, width, TEXT_SIZE))
    labels = "; ".join(f"{region.id} {region.label}" for region in judgement.regions)
    regions = labels or why_no_regions(judgement)
    blocks.append(paragraph(regions, width, 13, colour=FAINT_INK, max_lines=4))
    return stack(blocks, width, gap=4)
