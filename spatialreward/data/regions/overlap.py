"""Overlap of two sets of boxes: exact IoU of their unions, and IoU by box."""

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import optimize

from spatialreward.data.edits import Box, ProposedRegion
from spatialreward.records import BOX_SCALE, EditRegion

Region = EditRegion | ProposedRegion


def union_iou(first: Iterable[Box], second: Iterable[Box]) -> float:
    """IoU of the two unions of boxes; 1 if both are empty."""
    one, other = covered(first), covered(second)
    either = int((one | other).sum())
    return int((one & other).sum()) / either if either else 1.0


def matched_iou(truth: Sequence[Region], predicted: Sequence[Region]) -> float:
    """Sum of IoUs of the best one-to-one matching, divided by the larger number of regions.

    1 if both are empty; missing and superfluous regions both cost.
    """
    if not truth and not predicted:
        return 1.0
    if not truth or not predicted:
        return 0.0
    ious = np.array([[box_iou(t.bbox_2d, p.bbox_2d) for p in predicted] for t in truth])
    rows, columns = optimize.linear_sum_assignment(ious, maximize=True)
    return float(ious[rows, columns].sum() / max(len(truth), len(predicted)))


def area(box: Box) -> int:
    """Area of a box in its own units, 0 for an inverted one."""
    x1, y1, x2, y2 = box
    return max(0, x2 - x1) * max(0, y2 - y1)


def common_area(one: Box, other: Box) -> int:
    """Area of the intersection of two boxes."""
    (ax1, ay1, ax2, ay2), (bx1, by1, bx2, by2) = one, other
    return area((max(ax1, bx1), max(ay1, by1), min(ax2, bx2), min(ay2, by2)))


def box_iou(one: Box, other: Box) -> float:
    """IoU of two boxes; 0 if neither has an area."""
    shared = common_area(one, other)
    either = area(one) + area(other) - shared
    return shared / either if either else 0.0


def covered(boxes: Iterable[Box]) -> NDArray[np.bool_]:
    """Mask of the boxes' union, ``[1000, 1000]``: exact, because coordinates are whole."""
    cells = np.zeros((BOX_SCALE, BOX_SCALE), bool)
    for x1, y1, x2, y2 in boxes:
        cells[y1:y2, x1:x2] = True
    return cells
