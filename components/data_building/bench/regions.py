"""Accuracy of edit regions: on real edits with drawn boxes, and on the generated world."""

import io
import json
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple, TypeVar

import cv2
import numpy as np
from PIL import Image, ImageOps

from components.data_building.bench.baselines import plain_difference, tolerant_difference
from spatialreward.data.edits import Box, Extent, SpatialPrior
from spatialreward.data.regions.overlap import union_iou
from spatialreward.data.regions.proposal import changed_mask, propose
from spatialreward.errors import InvalidInputError
from spatialreward.figures import Figure
from spatialreward.images import load_image
from spatialreward.progress import track
from spatialreward.records import EditRegion
from spatialreward.visuals.layout import SheetLayout
from spatialreward.visuals.regions import draw_dashed, draw_regions
from spatialreward.visuals.text import RULE
from spatialreward.world.config import DataConfig
from spatialreward.world.drawing import draw_sample
from spatialreward.world.samples import SceneSample

REAL_EDITS = Path("../shared/data/real_edits")
REFRAMED = Path("../shared/data/faults/reframed_by_the_editor")
WORLD_SEED = 4
WORLD_SIZE = 512
TARGET_REAL = 0.7
TARGET_WORLD = 0.75

_LOCAL_EDITS = ("girl_pendant", "girl_cry", "coat_calfskin", "train_to_plane")
_STYLE_EDIT = "anime_style"
_QUALITIES = (60, 96)
_SHIFTS = (-2, -1, 1, 2)
_LAYOUT = SheetLayout(cell=256)
Found = TypeVar("Found")


class RealEdit(NamedTuple):
    """A real edit with boxes drawn by eye."""

    id: str
    instruction: str
    source: Image.Image
    edited: Image.Image
    boxes: list[Box]


class EditRow(NamedTuple):
    """One real edit in the table."""

    id: str
    extent: Extent
    """As proposed."""
    counts: bool
    """Whether it is one of the local edits in the mean."""
    iou: float
    """Of the union of the proposed boxes with the union of the drawn ones."""
    plain_difference: float
    """The same for the box around a thresholded difference."""
    tolerant_difference: float
    """The same for a robust difference that tolerates small shifts."""


class RealResults(NamedTuple):
    """Results on real edits, or the reason for having none."""

    figures: list[Figure]
    rows: list[EditRow]
    notice: str = ""
    """Empty if there are results."""


def read_real_edits(folder: Path = REAL_EDITS) -> list[RealEdit]:
    """Real edits with their pictures; empty without the folder."""
    listing = folder / "edits.jsonl"
    if not listing.is_file():
        return []
    lines = (json.loads(line) for line in listing.read_text().splitlines() if line.strip())
    return [
        RealEdit(
            id=line["id"],
            instruction=line["instruction"],
            source=load_image(folder / line["source"]),
            edited=load_image(folder / line["edited"]),
            boxes=[tuple(box) for box in line["regions"]],
        )
        for line in lines
    ]


def measure_real_edits(folder: Path = REAL_EDITS) -> RealResults:
    """IoU on every real edit, with two baselines.

    The mean is that of the four local edits. A changed background, whose box is more than half of
    the picture, may count as local or global: it is listed but not in the mean.

    Raises:
        InvalidInputError: the folder's listing lacks a local edit.
    """
    edits = read_real_edits(folder)
    if not edits:
        return RealResults([], [], f"{folder}: no real edits here; skipping them")
    rows = [_row(edit) for edit in edits]
    local = [row for row in rows if row.counts]
    if len(local) < len(_LOCAL_EDITS):
        raise InvalidInputError(f"{folder}: expected the edits {', '.join(_LOCAL_EDITS)}")
    ours = statistics.fmean(row.iou for row in local)
    baselines = [
        statistics.fmean(row.plain_difference for row in local),
        statistics.fmean(row.tolerant_difference for row in local),
    ]
    figures = [
        Figure.at_least("regions/real_edits_mean_iou", ours, TARGET_REAL, baseline=max(baselines)),
        *(
            Figure(
                name=f"regions/real_edits/{row.id}_iou",
                value=row.iou,
                baseline=max(row.plain_difference, row.tolerant_difference),
            )
            for row in rows
        ),
    ]
    for row in rows:
        if row.id == _STYLE_EDIT:
            is_global = float(row.extent is Extent.GLOBAL)
            figures.append(Figure.at_least(f"regions/{_STYLE_EDIT}_is_global", is_global, 1.0))
    return RealResults(figures, rows)


def measure_reframed(folder: Path = REFRAMED) -> list[Figure]:
    """Whether another frame of a fine texture counts as global; empty without the pictures."""
    if not folder.is_dir():
        return []
    source, edited = (load_image(folder / f"{name}.jpg") for name in ("source", "edited"))
    is_global = float(propose(source, edited).extent is Extent.GLOBAL)
    return [Figure.at_least("regions/reframed_is_global", is_global, 1.0)]


def more_baselines(rows: Sequence[EditRow]) -> dict[str, dict[str, float]]:
    """Both baselines by the figures' names, the further columns of ``figures_table``."""
    columns: dict[str, dict[str, float]] = {}
    for baseline in ("plain_difference", "tolerant_difference"):
        column = {f"regions/real_edits/{row.id}_iou": getattr(row, baseline) for row in rows}
        local = [getattr(row, baseline) for row in rows if row.counts]
        if local:
            column["regions/real_edits_mean_iou"] = statistics.fmean(local)
        columns[baseline.replace("_", " ")] = column
    return columns


def measure_world(count: int = 500, *, seed: int = WORLD_SEED) -> list[Figure]:
    """IoU on re-encoded and shifted generated edits, and one core's time for each.

    An edit that changed nothing has no boxes: proposing nothing counts 1, and anything else 0. A
    changed background has the whole picture as its box. Two in five edited pictures have an
    artifact everywhere, which is no edit and belongs to no box.
    """
    ours, theirs, plain, clean, seconds, their_seconds = [], [], [], [], [], []
    edits = _world_edits(count, seed)
    for sample, source, edited in track(edits, total=count, description="regions of the world"):
        truth = [change.box for change in sample.truth.changes]
        prior, needed = _timed(propose, source, edited)
        found, their_needed = _timed(tolerant_difference, source, edited)
        seconds.append(needed)
        their_seconds.append(their_needed)
        ours.append(union_iou(_boxes(prior), truth))
        theirs.append(union_iou(found, truth))
        plain.append(union_iou(plain_difference(source, edited), truth))
        if sample.truth.artifact is None:
            clean.append(ours[-1])
    best = max(statistics.fmean(theirs), statistics.fmean(plain))
    figures = [
        Figure.at_least(
            "regions/world_mean_iou", statistics.fmean(ours), TARGET_WORLD, baseline=best
        )
    ]
    if clean:
        name = "regions/world_without_artifacts_mean_iou"
        figures.append(Figure(name=name, value=statistics.fmean(clean)))
    return [*figures, _milliseconds(seconds, their_seconds)]


def _milliseconds(seconds: Sequence[float], their_seconds: Sequence[float]) -> Figure:
    """Core time per edit, paired with the shift-tolerant baseline."""
    quartiles = statistics.quantiles(seconds, n=4, method="inclusive") if len(seconds) > 1 else None
    return Figure(
        name="regions/ms_per_edit",
        value=statistics.median(seconds) * 1e3,
        unit="ms",
        baseline=statistics.median(their_seconds) * 1e3,
        spread=quartiles and (quartiles[0] * 1e3, quartiles[2] * 1e3),
    )


def world_pair(sample: SceneSample, rng: np.random.Generator) -> tuple[Image.Image, Image.Image]:
    """Source and edited picture as JPEG of quality 60 to 95, the edited one 1 or 2 px off."""
    source, edited = sample.images()
    dx, dy = rng.choice(_SHIFTS, 2)
    reach = max(_SHIFTS)
    pixels = np.pad(np.asarray(edited), [(reach, reach)] * 2 + [(0, 0)], mode="edge")
    top, left = reach - dy, reach - dx
    shifted = Image.fromarray(pixels[top : top + edited.height, left : left + edited.width])
    qualities = rng.integers(*_QUALITIES, 2)
    before, after = (
        _as_jpeg(picture, int(quality))
        for picture, quality in zip((source, shifted), qualities, strict=True)
    )
    return before, after


def draw_real_edits(folder: Path = REAL_EDITS) -> Image.Image | None:
    """A sheet: source, edited picture with boxes (dashed: drawn by eye), and mask of each edit.

    None if there are no real edits.
    """
    edits = read_real_edits(folder)
    if not edits:
        return None
    names = ("Source", "Proposed (dashed: drawn)", "Changed pixels")
    return _LAYOUT.sheet(names, map(_sheet_row, edits))


def _row(edit: RealEdit) -> EditRow:
    prior = propose(edit.source, edit.edited)

    def iou(find: Callable[[Image.Image, Image.Image], list[Box]]) -> float:
        return union_iou(find(edit.source, edit.edited), edit.boxes)

    return EditRow(
        id=edit.id,
        extent=prior.extent,
        counts=edit.id in _LOCAL_EDITS,
        iou=union_iou(_boxes(prior), edit.boxes),
        plain_difference=iou(plain_difference),
        tolerant_difference=iou(tolerant_difference),
    )


def _timed(
    find: Callable[[Image.Image, Image.Image], Found], source: Image.Image, edited: Image.Image
) -> tuple[Found, float]:
    """The result, and its core seconds, independent of other load."""
    threads = cv2.getNumThreads()
    cv2.setNumThreads(1)
    try:
        start = time.thread_time()
        found = find(source, edited)
        return found, time.thread_time() - start
    finally:
        cv2.setNumThreads(threads)


def _boxes(prior: SpatialPrior) -> list[Box]:
    return [region.bbox_2d for region in prior.regions]


def _world_edits(count: int, seed: int) -> Iterator[tuple[SceneSample, Image.Image, Image.Image]]:
    config = DataConfig(picture_size=WORLD_SIZE, seed=seed)
    for number in range(count):
        sample = draw_sample(config, "heldout", number)
        yield sample, *world_pair(sample, np.random.default_rng((seed, number)))


def _as_jpeg(picture: Image.Image, quality: int) -> Image.Image:
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=quality)
    return Image.open(buffer).convert("RGB")


def _sheet_row(edit: RealEdit) -> Image.Image:
    prior = propose(edit.source, edit.edited)
    mask = Image.fromarray(changed_mask(edit.source, edit.edited))
    found, drawn = (_as_regions(boxes) for boxes in (_boxes(prior), edit.boxes))
    edited = draw_regions(_LAYOUT.fitted(edit.edited), found, text_size=None)
    pictures = [
        _LAYOUT.fitted(edit.source),
        draw_dashed(edited, drawn),
        # A mask may be as white as the paper.
        ImageOps.expand(_LAYOUT.fitted(mask), 1, RULE),
    ]
    iou = union_iou(_boxes(prior), edit.boxes)
    title = f"{edit.id}: {edit.instruction} ({prior.extent}, IoU {iou:.2f})"
    return _LAYOUT.row(title, pictures)


def _as_regions(boxes: Sequence[Box]) -> list[EditRegion]:
    return [EditRegion(id=n, label="", bbox_2d=box) for n, box in enumerate(boxes)]
