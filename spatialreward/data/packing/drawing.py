"""Pictures of a data card: edits with boxes, words and scores, and panels of histograms."""

from collections.abc import Sequence
from typing import NamedTuple

from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator
from PIL import Image

from spatialreward.data.edits import LabelledEdit
from spatialreward.data.packing.statistics import Histogram
from spatialreward.images import decode_image
from spatialreward.records import EditRegion, Judgement
from spatialreward.visuals.charts import panels_of, picture_of
from spatialreward.visuals.layout import GAP, TEXT_SIZE, SheetLayout, stack
from spatialreward.visuals.overlay import readable, score_bars
from spatialreward.visuals.regions import draw_dashed, draw_regions
from spatialreward.visuals.text import FAINT_INK, RULE, paragraph

_LAYOUT = SheetLayout(cell=288, text_width=330)
_SMALL_TEXT = 12


class Panel(NamedTuple):
    """One histogram of a chart."""

    title: str
    x_label: str
    histogram: Histogram
    ticks: tuple[tuple[float, str], ...] = ()
    """Positions and labels of ticks; matplotlib's default if empty."""


def histogram_chart(panels: Sequence[Panel], columns: int = 2) -> Image.Image:
    """Draw histograms in rows of ``columns``, each with its mean and its number of values.

    Raises:
        ValueError: there are no panels.
    """
    if not panels:
        raise ValueError("expected at least one histogram to draw, got none")
    titles = [panel.title for panel in panels]
    figure, grid = panels_of(titles, columns=columns, size_in=(4.6, 2.7), font_size=10)
    for axes, panel in zip(grid, panels, strict=True):
        _draw(axes, panel)
    return picture_of(figure)


def edits_sheet(edits: Sequence[LabelledEdit]) -> Image.Image:
    """Draw one row per edit: source, edited picture, regions, words and scores.

    Outlines the annotation's regions, or else the data set's; proposed ones are dashed.

    Raises:
        InvalidInputError: a picture cannot be decoded.
        ValueError: there are no edits.
    """
    if not edits:
        raise ValueError("expected at least one edit to draw, got none")
    names = ("Source", "Edited", "Regions (dashed: from pixels)", "What the data say")
    return _LAYOUT.sheet(names, map(_row, edits))


def _draw(axes: Axes, panel: Panel) -> None:
    histogram = panel.histogram
    axes.stairs(histogram.counts, histogram.edges, fill=True)
    axes.set_xlabel(panel.x_label, fontsize=9)
    axes.set_ylabel("count", fontsize=9)
    axes.tick_params(labelsize=8)
    axes.set_xlim(histogram.edges[0], histogram.edges[-1])
    axes.yaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    if panel.ticks:
        axes.set_xticks([at for at, _ in panel.ticks], [label for _, label in panel.ticks])
    summary = f"n = {histogram.num_values:,}"
    if histogram.num_values:
        summary = f"mean {histogram.mean:.3g}, {summary}"
        axes.axvline(histogram.mean, color="#d55e00", linewidth=1.2)
    axes.set_title(summary, loc="right", fontsize=8, color="#6b727d")


def _row(edit: LabelledEdit) -> Image.Image:
    below = []
    if (label := edit.label) is not None:
        said = readable(label.sc_reasoning if label.scores.is_semantic else label.pq_reasoning)
        width = _LAYOUT.width - 2 * GAP
        below = [paragraph(said, width, _SMALL_TEXT, colour=FAINT_INK, max_lines=3)]
    return _LAYOUT.row(edit.instruction or "no instruction", _pictures(edit), _words(edit), below)


def _pictures(edit: LabelledEdit) -> list[Image.Image]:
    if not edit.sources:
        source = paragraph(
            "no source picture", _LAYOUT.cell, TEXT_SIZE, colour=FAINT_INK, background=RULE
        )
    else:
        source = _LAYOUT.fitted(decode_image(edit.sources[0], f"{edit.id}/source"))
    if edit.edited is None:
        return [source]
    edited = _LAYOUT.fitted(decode_image(edit.edited, f"{edit.id}/edited"))
    if not edit.sources:
        return [source, edited]
    proposed = edit.prior.regions if edit.prior is not None else ()
    # Labels stand beside the picture, which only has room for numbers.
    numbered = [region.model_copy(update={"label": ""}) for region in _outlined(edit)]
    dashed = [
        EditRegion(id=number, label="", bbox_2d=region.bbox_2d)
        for number, region in enumerate(proposed)
    ]
    boxes = draw_regions(edited, numbered, text_size=_SMALL_TEXT)
    return [source, edited, draw_dashed(boxes, dashed)]


def _outlined(edit: LabelledEdit) -> tuple[EditRegion, ...]:
    return edit.label.regions if edit.label is not None else edit.given_regions or ()


def _words(edit: LabelledEdit) -> Image.Image:
    facts = [edit.operation or "operation unknown"]
    if edit.prior is not None:
        facts += [f"{edit.prior.extent} change", f"{edit.prior.changed_share:.1%} of pixels"]
    elif edit.edited is None:
        facts.append("prompt only")
    if len(edit.sources) > 1:
        facts.append(f"{len(edit.sources)} sources")
    blocks = [paragraph(", ".join(facts), _LAYOUT.text_width, TEXT_SIZE, max_lines=2)]
    if edit.label is None:
        blocks.append(paragraph("not annotated", _LAYOUT.text_width, TEXT_SIZE, colour=FAINT_INK))
        if edit.given_regions is not None:
            blocks.append(_small(f"Given regions: {_labels(edit.given_regions)}"))
    else:
        blocks += _annotation(edit.label, edit.verified)
    if edit.given:
        said = ", ".join(f"{name} {value}" for name, value in edit.given.items())
        blocks.append(_small(f"Given: {said}"))
    blocks.append(_small(f"{edit.origin.file}, row {edit.origin.row}"))
    return stack(blocks, _LAYOUT.text_width, gap=5)


def _annotation(label: Judgement, verified: bool | None) -> list[Image.Image]:
    second_pass = {True: ", verified", False: ", not confirmed by a second pass", None: ""}
    regions = [paragraph(_labels(label.regions), _LAYOUT.text_width, TEXT_SIZE, max_lines=4)]
    return [
        score_bars(label.scores, _LAYOUT.text_width, TEXT_SIZE),
        *(regions if label.scores.is_semantic else ()),
        _small(f"Annotated by {label.judged_by}{second_pass[verified]}"),
    ]


def _labels(regions: Sequence[EditRegion]) -> str:
    return "; ".join(f"[{region.id}] {region.label}".strip() for region in regions) or "No region"


def _small(text: str) -> Image.Image:
    return paragraph(text, _LAYOUT.text_width, _SMALL_TEXT, colour=FAINT_INK, max_lines=2)
