"""A second opinion on edit regions: boxes of what an instruction names, as a grounding model sees.

Only pixels can tell that something changed, and only a model that reads can tell what was meant.
So a box that the model names counts where pixels changed, and the pixels say how far it reaches:

- Regions that lie within a named box belong together and become one, if their common box and the
  named one agree. Its evidence grows by the agreement: doubt that is left is the product of both
  doubts.
- A named box without changed pixels is left out. Nothing was edited there, whatever was asked for.
- A changed region that nobody named stays as it is: it is how over-editing shows.

Asking the model is not done here.
"""

from collections.abc import Sequence

from spatialreward.data.edits import Box, Extent, ProposedRegion, SpatialPrior
from spatialreward.data.regions.overlap import area, box_iou, common_area, union_iou
from spatialreward.errors import InvalidInputError

_LIES_WITHIN = 0.5


def reconcile(prior: SpatialPrior, boxes: Sequence[Box], *, min_iou: float = 0.3) -> SpatialPrior:
    """The prior with a second opinion taken into account, and how far the two agree.

    Extent and mask statistics stay. A global edit keeps its one region, since what the instruction
    names says nothing about how far a change of style or tone reaches; only the agreement is noted.

    Args:
        prior: of the pixels alone.
        boxes: what the instruction names, 0..1000 of the edited picture; may be empty.
        min_iou: from which IoU regions and the named box they lie in agree, 0..1. Models draw
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
    """Each region with the box it lies in most, of those the smallest; None: in no box."""
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
        # Of regions that overlap, changed pixels were counted twice.
        changed_share=min(1.0, changed / area(box)),
    )
