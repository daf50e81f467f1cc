"""Reduces pixel differences to a few boxes: connected changes, their mass, and their merging.

Boxes here are ``left, top, right, bottom`` in pixels, right and bottom exclusive.
"""

import itertools
from collections.abc import Sequence
from typing import NamedTuple, Self

import cv2
import numpy as np
from numpy.typing import NDArray

from spatialreward.data.regions.config import RegionConfig

# H W height and width
PixelBox = tuple[int, int, int, int]

# Cap at this multiple of a strong change: contrast is not importance.
_SATURATION = 3.0
_MIN_STRONG_PIXELS = 4
_MAX_CLUSTERS = 48
# The true outline of a blurred change lies at half its height; a lower threshold adds a margin.
_OUTLINE_HEIGHT = 0.4
_OUTLINE_WINDOW = 7


class Cluster(NamedTuple):
    """A connected change, or several merged."""

    box: PixelBox
    mass: float
    """Sum of its pixels' capped excess."""
    pixels: int
    """Number of changed pixels."""
    strong: int
    """Number of strongly changed pixels."""
    labels: tuple[int, ...]
    """Its labels in the labelled picture."""

    def merged(self, other: Self) -> "Cluster":
        """Both as one."""
        return Cluster(
            _around(self.box, other.box),
            self.mass + other.mass,
            self.pixels + other.pixels,
            self.strong + other.strong,
            self.labels + other.labels,
        )


def find_changes(
    excess_HW: NDArray[np.floating], config: RegionConfig
) -> tuple[NDArray[np.bool_], list[Cluster]]:
    """Mask of changed pixels and their clusters, merged to a few, the heaviest first."""
    height, width = excess_HW.shape
    weak_HW = _weak_mask(excess_HW, config)
    labels_HW, count = _components(weak_HW, config.joining_distance * max(height, width))
    labels_HW = labels_HW * weak_HW
    pieces = _measured(excess_HW, labels_HW, count, config)
    certain = [piece for piece in pieces if piece.strong >= _MIN_STRONG_PIXELS]
    merged = _merge_close(certain, (width, height), config)
    least = max(config.min_area * height * width, _MIN_STRONG_PIXELS)
    enough = [cluster for cluster in merged if cluster.strong >= least]
    heaviest = max((cluster.mass for cluster in enough), default=0.0)
    kept = [one for one in enough if one.mass >= config.min_share_of_strongest * heaviest]
    doubtful = [piece for piece in pieces if piece.strong < _MIN_STRONG_PIXELS]
    kept = _with_company(kept, doubtful, (width, height), config)
    kept = _merge_to(kept, config.max_regions)
    is_kept = np.zeros(count, bool)
    is_kept[[label for cluster in kept for label in cluster.labels]] = True
    return is_kept[labels_HW], sorted(kept, key=lambda cluster: -cluster.mass)


def _weak_mask(excess_HW: NDArray[np.floating], config: RegionConfig) -> NDArray[np.bool_]:
    """Pixels that may belong to a change, without the fringe from smoothing."""
    peak_HW = cv2.dilate(excess_HW, np.ones((_OUTLINE_WINDOW, _OUTLINE_WINDOW), np.uint8))
    return (excess_HW > config.weak_change) & (excess_HW > _OUTLINE_HEIGHT * peak_HW)


def _components(mask_HW: NDArray[np.bool_], gap: float) -> tuple[NDArray[np.int32], int]:
    """Labels of a mask's components after closing gaps, and their number including 0."""
    reach = max(1, round(gap)) | 1
    element = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (reach, reach))
    # Without a margin, closing would attach everything near the border to it.
    padded = np.pad(mask_HW.astype(np.uint8), reach)
    closed = cv2.morphologyEx(padded, cv2.MORPH_CLOSE, element)[reach:-reach, reach:-reach]
    count, labels_HW = cv2.connectedComponents(np.ascontiguousarray(closed), connectivity=8)
    return labels_HW, count


def _measured(
    excess_HW: NDArray[np.floating],
    labels_HW: NDArray[np.int32],
    count: int,
    config: RegionConfig,
) -> list[Cluster]:
    """The heaviest labels that are strong or large enough, as clusters."""
    rows, columns = np.nonzero(labels_HW)
    labels, excess = labels_HW[rows, columns], excess_HW[rows, columns]
    limited = np.minimum(excess, _SATURATION * config.strong_change)
    mass = np.bincount(labels, limited, count)
    pixels = np.bincount(labels, minlength=count)
    strong = np.bincount(labels, excess > config.strong_change, count).astype(int)
    starts, ends = np.full((count, 2), np.iinfo(np.int64).max), np.zeros((count, 2), int)
    for axis, places in enumerate((columns, rows)):
        np.minimum.at(starts[:, axis], labels, places)
        np.maximum.at(ends[:, axis], labels, places + 1)
    is_large = pixels >= config.min_area * labels_HW.size
    relevant = np.flatnonzero((strong >= _MIN_STRONG_PIXELS) | is_large)
    heaviest = sorted(relevant.tolist(), key=lambda label: -mass[label])[:_MAX_CLUSTERS]
    return [
        Cluster(
            (*starts[one].tolist(), *ends[one].tolist()),
            float(mass[one]),
            int(pixels[one]),
            int(strong[one]),
            (one,),
        )
        for one in heaviest
    ]


def _with_company(
    clusters: Sequence[Cluster],
    doubtful: Sequence[Cluster],
    size: tuple[int, int],
    config: RegionConfig,
) -> list[Cluster]:
    """Add weaker adjacent changes, which alone are not significant, to clusters.

    Adds only changes smaller than the original cluster, and does not chain.
    """
    grown = list(clusters)
    for piece in doubtful:
        hosts = [
            position
            for position, cluster in enumerate(clusters)
            if _area(piece.box) < _area(cluster.box) and _fits(cluster.box, piece.box, size, config)
        ]
        if hosts:
            grown[hosts[0]] = grown[hosts[0]].merged(piece)
    return grown


def _merge_close(
    clusters: Sequence[Cluster], size: tuple[int, int], config: RegionConfig
) -> list[Cluster]:
    """Merge close clusters unless their common box contains much else."""
    merged = list(clusters)
    while pairs := [
        (one, two)
        for one, two in _pairs(merged)
        if _fits(merged[one].box, merged[two].box, size, config)
    ]:
        _merge_best(merged, pairs)
    return merged


def _fits(one: PixelBox, two: PixelBox, size: tuple[int, int], config: RegionConfig) -> bool:
    """Whether two boxes are close, and their common box contains little else."""
    added, covered = _growth(one, two)
    small = config.max_small_waste * size[0] * size[1]
    return _gap(one, two) <= config.merging_distance * max(size) and added <= max(
        small, config.max_waste * covered
    )


def _merge_to(clusters: Sequence[Cluster], most: int) -> list[Cluster]:
    merged = list(clusters)
    while len(merged) > most:
        _merge_best(merged, _pairs(merged))
    return merged


def _merge_best(clusters: list[Cluster], pairs: Sequence[tuple[int, int]]) -> None:
    """Merge, in place, the pair whose common box adds the least area."""
    first, second = min(pairs, key=lambda pair: _growth(*(clusters[one].box for one in pair))[0])
    clusters[first] = clusters[first].merged(clusters.pop(second))


def _pairs(clusters: Sequence[Cluster]) -> list[tuple[int, int]]:
    return list(itertools.combinations(range(len(clusters)), 2))


def _around(one: PixelBox, two: PixelBox) -> PixelBox:
    return min(one[0], two[0]), min(one[1], two[1]), max(one[2], two[2]), max(one[3], two[3])


def _gap(one: PixelBox, two: PixelBox) -> int:
    """Pixels between two boxes, along the axis with the larger gap."""
    across = max(one[0], two[0]) - min(one[2], two[2])
    down = max(one[1], two[1]) - min(one[3], two[3])
    return max(across, down, 0)


def _growth(one: PixelBox, two: PixelBox) -> tuple[int, int]:
    """Pixels that the common box adds, and pixels that the two cover."""
    overlap_x = max(0, min(one[2], two[2]) - max(one[0], two[0]))
    overlap_y = max(0, min(one[3], two[3]) - max(one[1], two[1]))
    covered = _area(one) + _area(two) - overlap_x * overlap_y
    return _area(_around(one, two)) - covered, covered


def _area(box: PixelBox) -> int:
    return (box[2] - box[0]) * (box[3] - box[1])
