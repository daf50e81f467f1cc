"""Checks boxes from a data set or a teacher against changed pixels.

An edit that changed nothing keeps its data set's boxes: they mark where a change was due, and a
failed edit is a useful example. If a teacher sees a change there, ``reasoning`` reports the
contradiction.
"""

from collections.abc import Sequence

import numpy as np

from spatialreward.data.edits import Extent, SpatialPrior
from spatialreward.data.filters.config import EvidenceRules
from spatialreward.data.filters.reasons import Finding, Reason
from spatialreward.data.regions.overlap import covered
from spatialreward.records import EditRegion


def check_boxes(
    regions: Sequence[EditRegion], prior: SpatialPrior, rules: EvidenceRules
) -> Finding | None:
    """Why the boxes of a local edit must be wrong; None if plausible, or there are none."""
    if not regions or prior.extent is not Extent.LOCAL:
        return None
    boxes_YX = covered(region.bbox_2d for region in regions)
    evidence_YX = covered(region.bbox_2d for region in prior.regions)
    backed_share = (boxes_YX & evidence_YX).sum() / boxes_YX.sum()
    if backed_share < rules.min_backed_share:
        return Finding(
            Reason.BOXES_WITHOUT_EVIDENCE,
            f"{100 * backed_share:.1f} % of the boxes' area lies where pixels changed, expected "
            f"{100 * rules.min_backed_share:g} % at least",
        )
    covered_share = _covered_share(prior, boxes_YX)
    if covered_share < rules.min_covered_share:
        return Finding(
            Reason.BOXES_WITHOUT_EVIDENCE,
            f"{100 * covered_share:.1f} % of the changed area lies in boxes, expected "
            f"{100 * rules.min_covered_share:g} % at least",
        )
    return None


def _covered_share(prior: SpatialPrior, boxes_YX: np.ndarray) -> float:
    """Share of the proposed area that lies in boxes, each proposal weighted by its evidence."""
    covered = weight = 0.0
    for region in prior.regions:
        x1, y1, x2, y2 = region.bbox_2d
        weight += region.evidence * (x2 - x1) * (y2 - y1)
        covered += region.evidence * boxes_YX[y1:y2, x1:x2].sum()
    # Proposals without evidence cannot contradict a box.
    return covered / weight if weight else 1.0
