"""Reconciles edit regions with boxes of the instruction's objects from a grounding model.

Pixels show that something changed; a model that reads the instruction knows what was meant. So a
box from the model counts where pixels changed, and the pixels give its extent:

- Regions within a model's box merge into one, if their common box and the model's agree. The
  agreement raises its evidence: the remaining doubt is the product of both doubts.
- A model's box without changed pixels is dropped, because nothing was edited there.
- A changed region outside the model's boxes stays: it may be over-editing.

Calling the model happens elsewhere.
"""

from collections.abc import Sequence

from spatialreward.data.edits import Box, Extent, ProposedRegion, SpatialPrior
from spatialreward.data.regions.overlap import area, box_iou, common_area, union_iou
from spatialreward.errors import InvalidInputError

_LIES_WITHIN = 0.5


def reconcile(prior: SpatialPrior, boxes: Sequence[Box], *, min_iou: float = 0.3) -> SpatialPrior:
    """The prior after reconciliation, with the agreement of the two.

    Extent and mask statistics stay. A global edit keeps its one region, because the instruction's
    objects say nothing about the reach of a change of style or tone; only the agreement is
    recorded.

    Args:
        prior: of the pixels alone.
        boxes: of the instruction's objects, 0..1000 of the edited picture; may be empty.
        min_iou: smallest IoU at which regions and their model's box agree, 0..1. Models draw
            loosely: a box 1.8 times too long on each side still counts with 0.3.

    Raises:
        InvalidInputError: a box has no area, or ``min_iou`` is not in 0..1.
    """
    if not 0 <= min_iou <= 1:
        raise InvalidInputError(f"min_iou: expected 0..1, got {min_iou:g}")
    for number, box in enumerate(boxes):
        if area(box) == 0:
            raise InvalidInputError(f"box {number}: expected x1 < x2 and y1 < y2, got {box}")
    agreement = union_iou((region.bbox_2d for region in prior.regions), boxes)
    if prior.extent is not Extent.LOCAL:
        return prior.model_copy(update={"agreement": agreement})
    regions: list[ProposedRegion] = []
    for box, group in _groups(prior.regions, boxes):
        common = _common_box([region.bbox_2d for region in group])
        if box is not None and (iou := box_iou(common, box)) >= min_iou:
            regions.append(_joined(group, common, iou))
        else:
            regions.extend(group)
    regions.sort(key=lambda region: -region.evidence)
    return prior.model_copy(update={"regions": tuple(regions), "agreement": agreement})


def _groups(
    regions: Sequence[ProposedRegion], boxes: Sequence[Box]
) -> list[tuple[Box | None, list[ProposedRegion]]]:
    """Each region with the smallest of the boxes that hold most of it; None: no box."""
    groups: dict[Box | None, list[ProposedRegion]] = {}
    for region in regions:
        holds = {box: common_area(region.bbox_2d, box) / area(region.bbox_2d) for box in boxes}
        within = [box for box in boxes if holds[box] >= _LIES_WITHIN]
        box = min(within, key=lambda one: (-holds[one], area(one)), default=None)
        groups.setdefault(box, []).append(region)
    return list(groups.items())


def _common_box(boxes: Sequence[Box]) -> Box:
    lefts, tops, rights, bottoms = zip(*boxes, strict=True)
    return min(lefts), min(tops), max(rights), max(bottoms)


def _joined(group: Sequence[ProposedRegion], box: Box, iou: float) -> ProposedRegion:
    evidence = max(region.evidence for region in group)
    changed = sum(region.changed_share * area(region.bbox_2d) for region in group)
    return ProposedRegion(
        bbox_2d=box,
        evidence=1 - (1 - evidence) * (1 - iou),
        # Overlapping regions count their shared pixels twice.
        changed_share=min(1.0, changed / area(box)),
    )
