"""Proposes edit regions from two pictures alone, with the mask behind them."""

import math
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from spatialreward.data.edits import Box, Extent, ProposedRegion, SpatialPrior
from spatialreward.data.regions.clusters import Cluster, PixelBox, find_changes
from spatialreward.data.regions.comparison import Comparison, compare
from spatialreward.data.regions.config import RegionConfig
from spatialreward.data.regions.correspondence import find_correspondence
from spatialreward.data.regions.median import median
from spatialreward.data.regions.memory import keep_freed_memory
from spatialreward.records import BOX_SCALE

# H W height and width, here of the working resolution unless said otherwise
Mask = NDArray[np.bool_]

_WHOLE_PICTURE: Box = (0, 0, BOX_SCALE, BOX_SCALE)


class _Finding(NamedTuple):
    comparison: Comparison
    extent: Extent
    mask_HW: Mask
    clusters: list[Cluster]
    noise: float
    """Median difference of apparently unchanged pixels, in levels 0..255."""
    global_evidence: float
    """0.5 if the signs of a global edit just reach the limit, 1 if certain."""


def propose(
    source: Image.Image, edited: Image.Image, config: RegionConfig | None = None
) -> SpatialPrior:
    """Regions and extent of the edited picture's difference from its source.

    The pictures may differ in size; the source is rescaled to the edited picture. Deterministic.
    ``noise`` is measured at the working resolution, after alignment; in a global edit it includes
    the part of the edit that is everywhere.
    """
    config = config or RegionConfig()
    finding = _find(source, edited, config)
    comparison = finding.comparison
    height, width = finding.mask_HW.shape
    shift_x, shift_y = comparison.alignment.shift
    if finding.extent is Extent.GLOBAL:
        whole = (0, 0, width, height)
        boxes = [(whole, finding.global_evidence)]
    else:
        boxes = [(cluster.box, _evidence(cluster, finding, config)) for cluster in finding.clusters]
    regions = (_region(box, evidence, finding.mask_HW) for box, evidence in boxes)
    return SpatialPrior(
        extent=finding.extent,
        regions=tuple(sorted(regions, key=lambda region: -region.evidence)),
        changed_share=float(finding.mask_HW.mean()),
        noise=finding.noise,
        # Content that lies further right in the source has moved to the left.
        shift_px=(-shift_x * edited.width / width, -shift_y * edited.height / height),
    )


def changed_mask(
    source: Image.Image, edited: Image.Image, config: RegionConfig | None = None
) -> Mask:
    """Mask of changed pixels at the edited picture's own resolution; ``[height, width]``."""
    finding = _find(source, edited, config or RegionConfig())
    mask = finding.mask_HW.astype(np.uint8)
    return cv2.resize(mask, edited.size, interpolation=cv2.INTER_NEAREST).astype(bool)


def _find(source: Image.Image, edited: Image.Image, config: RegionConfig) -> _Finding:
    keep_freed_memory()
    comparison = compare(source, edited, config)
    mask_HW, clusters = find_changes(comparison.excess_HW, config)
    tone = median(comparison.tone_HW) / config.global_tone
    share = float(mask_HW.mean()) / config.global_share
    lost = _lost_structure(comparison, config)
    # Signs of different kinds combine like independent errors.
    signs = math.hypot(tone, share, lost)
    rest = find_correspondence(comparison.source_HW3, comparison.edited_HW3, mask_HW)
    unlike = (1 - rest.mean(config.min_structure)) / (1 - config.min_correspondence)
    if unlike >= 1:
        # Apparently unchanged places do not match the source, so the assumed noise was a change.
        signs = max(signs, unlike)
        mask_HW = mask_HW | (rest.structured_HW & (rest.share_HW < config.min_correspondence))
    noise = _median(comparison.level_HW[~mask_HW])
    if signs < 1:
        extent = Extent.LOCAL if clusters else Extent.NOTHING
        return _Finding(comparison, extent, mask_HW, clusters, noise, 0.0)
    mask_HW = mask_HW | (comparison.tone_HW > config.global_tone / 2)
    mask_HW |= comparison.structured_HW & ~comparison.intact_HW
    return _Finding(comparison, Extent.GLOBAL, mask_HW, clusters, noise, 1 - 0.5**signs)


def _median(levels: NDArray[np.uint8]) -> float:
    """Median, or 0 if every pixel changed, because no noise is visible then."""
    return median(levels) if levels.size else 0.0


def _lost_structure(comparison: Comparison, config: RegionConfig) -> float:
    """Intact structure relative to the least that a local edit leaves."""
    structured = comparison.structured_HW.sum()
    if structured < config.min_structure * comparison.structured_HW.size:
        return 0.0
    return float(config.global_intact * structured / max(comparison.intact_HW.sum(), 1))


def _evidence(cluster: Cluster, finding: _Finding, config: RegionConfig) -> float:
    """Confidence of a region: mean excess and size, each 0.5 at its threshold."""
    height, width = finding.mask_HW.shape
    strength = cluster.mass / cluster.pixels / config.strong_change
    size = cluster.pixels / (config.min_area * height * width)
    return (1 - 0.5**strength) * (1 - 0.5**size)


def _region(box: PixelBox, evidence: float, mask_HW: Mask) -> ProposedRegion:
    left, top, right, bottom = box
    return ProposedRegion(
        bbox_2d=_normalised(box, mask_HW.shape),
        evidence=evidence,
        changed_share=float(mask_HW[top:bottom, left:right].mean()),
    )


def _normalised(box: PixelBox, shape: tuple[int, int]) -> Box:
    height, width = shape
    left, top, right, bottom = box
    x1, x2 = _apart(left * BOX_SCALE / width, right * BOX_SCALE / width)
    y1, y2 = _apart(top * BOX_SCALE / height, bottom * BOX_SCALE / height)
    return x1, y1, x2, y2


def _apart(start: float, end: float) -> tuple[int, int]:
    """Rounded, but at least one apart: a pixel may be less than a unit."""
    first = min(round(start), BOX_SCALE - 1)
    return first, max(round(end), first + 1)
