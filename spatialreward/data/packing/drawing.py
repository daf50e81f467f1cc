"""Pictures of a data card: edits with boxes, words and scores, and panels of histograms."""

import io
from collections.abc import Sequence
from typing import NamedTuple

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from PIL import Image, ImageOps

from spatialreward.data.edits import LabelledEdit
from spatialreward.data.packing.statistics import Histogram
from spatialreward.images import decode_image
from spatialreward.records import EditRegion, Judgement
from spatialreward.visuals.overlay import readable, score_bars
from spatialreward.visuals.regions import draw_dashed, draw_regions
from spatialreward.visuals.text import FAINT_INK, PAPER, RULE, paragraph, stack

_CELL = 288
_TEXT_WIDTH = 330
_GAP = 12
_TEXT_SIZE = 14
_SMALL_TEXT = 12
_WIDTH = 3 * (_CELL + _GAP) + _TEXT_WIDTH + 2 * _GAP
_COLOUR = "#0072b2"
_DOTS_PER_INCH = 110


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
    rows = -(-len(panels) // columns)
    figure = Figure(figsize=(4.6 * columns, 2.7 * rows), dpi=_DOTS_PER_INCH, layout="constrained")
    FigureCanvasAgg(figure)
    grid = figure.subplots(rows, columns, squeeze=False).flatten()
    for axes, panel in zip(grid, panels, strict=False):
        _draw(axes, panel)
    for axes in grid[len(panels) :]:
        axes.set_visible(False)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    return Image.open(buffer).convert("RGB")


def edits_sheet(edits: Sequence[LabelledEdit]) -> Image.Image:
    """Draw one row per edit: source, edited picture, regions, words and scores.

    Outlines the annotation's regions, or else the data set's; proposed ones are dashed.

    Raises:
        InvalidInputError: a picture cannot be decoded.
        ValueError: there are no edits.
    """
    if not edits:
        raise ValueError("expected at least one edit to draw, got none")
    return stack([_header(), *(_row(edit) for edit in edits)], _WIDTH)


def _draw(axes: Axes, panel: Panel) -> None:
    histogram = panel.histogram
    axes.stairs(histogram.counts, histogram.edges, fill=True, color=_COLOUR)
    axes.set_title(panel.title, loc="left", fontweight="bold", fontsize=10)
    axes.set_xlabel(panel.x_label, fontsize=9)
    axes.set_ylabel("count", fontsize=9)
    axes.tick_params(labelsize=8)
    axes.set_xlim(histogram.edges[0], histogram.edges[-1])
    axes.yaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    axes.grid(axis="y", alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)
    if panel.ticks:
        axes.set_xticks([at for at, _ in panel.ticks], [label for _, label in panel.ticks])
    caption = f"n = {histogram.num_values:,}"
    if histogram.num_values:
        caption = f"mean {histogram.mean:.3g}, {caption}"
        axes.axvline(histogram.mean, color="#d55e00", linewidth=1.2)
    axes.set_title(caption, loc="right", fontsize=8, color="#6b727d")


def _header() -> Image.Image:
    names = ("Source", "Edited", "Regions (dashed: from pixels)", "Data")
    header = Image.new("RGB", (_WIDTH, 2 * _TEXT_SIZE + _GAP // 2), RULE)
    for position, name in enumerate(names):
        text = paragraph(name, _CELL, _TEXT_SIZE, bold=True, background=RULE, max_lines=1)
        header.paste(text, (_GAP + position * (_CELL + _GAP), (header.height - text.height) // 2))
    return header


def _row(edit: LabelledEdit) -> Image.Image:
    words = _words(edit)
    inner = _WIDTH - 2 * _GAP
    body = Image.new("RGB", (inner, max(_CELL, words.height)), PAPER)
    for position, picture in enumerate(_pictures(edit)):
        body.paste(
            ImageOps.pad(picture, (_CELL, _CELL), color=RULE), (position * (_CELL + _GAP), 0)
        )
    body.paste(words, (3 * (_CELL + _GAP), 0))
    title = paragraph(
        edit.instruction or "no instruction", inner, _TEXT_SIZE, bold=True, max_lines=3
    )
    blocks = [title, body]
    if (label := edit.label) is not None:
        reasoning = readable(label.sc_reasoning if label.scores.is_semantic else label.pq_reasoning)
        blocks.append(paragraph(reasoning, inner, _SMALL_TEXT, colour=FAINT_INK, max_lines=3))
    block = stack(blocks, _WIDTH, margin=_GAP, gap=_GAP // 2)
    block.paste(RULE, (0, block.height - 1, _WIDTH, block.height))
    return block


def _pictures(edit: LabelledEdit) -> list[Image.Image]:
    if not edit.sources:
        source = paragraph(
            "no source picture", _CELL, _TEXT_SIZE, colour=FAINT_INK, background=RULE
        )
    else:
        source = _fit(decode_image(edit.sources[0], f"{edit.id}/source"))
    if edit.edited is None:
        return [source]
    edited = _fit(decode_image(edit.edited, f"{edit.id}/edited"))
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


def _fit(picture: Image.Image) -> Image.Image:
    # Enlarge small scenes without smoothing; draw boxes afterwards, so that they stay thin.
    small = max(picture.size) * 2 <= _CELL
    how = Image.Resampling.NEAREST if small else Image.Resampling.LANCZOS
    return ImageOps.contain(picture, (_CELL, _CELL), how)


def _words(edit: LabelledEdit) -> Image.Image:
    facts = [edit.operation or "operation unknown"]
    if edit.prior is not None:
        facts += [f"{edit.prior.extent} change", f"{edit.prior.changed_share:.1%} of pixels"]
    elif edit.edited is None:
        facts.append("prompt only")
    if len(edit.sources) > 1:
        facts.append(f"{len(edit.sources)} sources")
    blocks = [paragraph(", ".join(facts), _TEXT_WIDTH, _TEXT_SIZE, max_lines=2)]
    if edit.label is None:
        blocks.append(paragraph("not annotated", _TEXT_WIDTH, _TEXT_SIZE, colour=FAINT_INK))
        if edit.given_regions is not None:
            blocks.append(_small(f"Given regions: {_labels(edit.given_regions)}"))
    else:
        blocks += _annotation(edit.label, edit.verified)
    if edit.given:
        said = ", ".join(f"{name} {value}" for name, value in edit.given.items())
        blocks.append(_small(f"Given: {said}"))
    blocks.append(_small(f"{edit.origin.file}, row {edit.origin.row}"))
    return stack(blocks, _TEXT_WIDTH, gap=5)


def _annotation(label: Judgement, verified: bool | None) -> list[Image.Image]:
    second_pass = {True: ", verified", False: ", not confirmed by a second pass", None: ""}
    regions = [paragraph(_labels(label.regions), _TEXT_WIDTH, _TEXT_SIZE, max_lines=4)]
    return [
        score_bars(label.scores, _TEXT_WIDTH, _TEXT_SIZE),
        *(regions if label.scores.is_semantic else ()),
        _small(f"Annotated by {label.judged_by}{second_pass[verified]}"),
    ]


def _labels(regions: Sequence[EditRegion]) -> str:
    return "; ".join(f"[{region.id}] {region.label}".strip() for region in regions) or "No region"


def _small(text: str) -> Image.Image:
    return paragraph(text, _TEXT_WIDTH, _SMALL_TEXT, colour=FAINT_INK, max_lines=2)
