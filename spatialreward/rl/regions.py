"""Advantages by position, from a judge's regions.

The idea is SpatialFlow-GRPO's (arXiv 2606.26872), which has no public code; this definition is our
own:

1. A judge gives each edit boxes and two semantic scores: was the instruction carried out, and is
   everything else unchanged? The first is about the boxes of requested changes, the second about
   the rest of the picture; perceptual scores are about both. So an edit has two rewards: the
   paper's aggregation with the first score alone as its semantic part, and with the second alone.
   Each is compared within the group like any reward.
2. Boxes of different edits in a group form one place if they overlap enough. A place in all edits
   was requested. A place in only some was requested if these edits are better by the sum of both
   semantic scores, because then the others lack it; otherwise it is over-editing, and belongs to
   the rest, where the edits without it are better.
3. An edit's map has the first advantage in the requested places, by its own box or by the mean of
   its siblings' boxes, and the second elsewhere. A position that a box covers in part gets the
   mean by area.
4. Without places, or without a rest, a group's map is the advantage of the whole picture
   everywhere, and the objective equals that of the algorithm without regions, bit for bit.

Scores are those of whole edits, so all requested places share one advantage. Reasoning is not
read, so its wording is free.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from spatialreward.data.edits import Box
from spatialreward.data.regions.overlap import box_iou
from spatialreward.protocol.aggregation import Aggregation
from spatialreward.records import BOX_SCALE, Judgement, Scores
from spatialreward.rl.advantages import Compared, Comparison

# P prompts, G edits of each, B = P * G edits, h w positions

_INSIDE = Aggregation(editing_success=1.0, over_editing=0.0)
_OUTSIDE = Aggregation(editing_success=0.0, over_editing=1.0)


class Place(NamedTuple):
    """A region in some edits of a group."""

    boxes: Mapping[int, Box]
    """By the edit's index in its group."""

    def box_of(self, edit: int) -> Box:
        """The edit's own box, or the mean of the others'."""
        if edit in self.boxes:
            return self.boxes[edit]
        x1, y1, x2, y2 = np.mean(list(self.boxes.values()), axis=0).tolist()
        return (x1, y1, x2, y2)


class RegionMaps(NamedTuple):
    """Advantages by position."""

    maps_Bhw: Tensor
    counts_PG: Tensor
    """Whether an edit contributes anywhere."""
    metrics: dict[str, list[float]]
    """Metrics by name, one value per group or edit that has one."""


def region_maps(
    judgements: Sequence[Judgement],
    rewards: Mapping[str, Tensor],
    comparison: Comparison,
    grid: tuple[int, int],
    min_iou: float,
) -> RegionMaps | None:
    """A map of advantages for each edit; None if the judge predicts no regions.

    Args:
        judgements: of the first reward, ``B`` of them, group by group.
        rewards: ``[P, G]`` each, NaN without a judgement. Those of other judges count for the
            whole picture, because their regions are unknown.
        comparison: how rewards become advantages.
        grid: height and width in positions.
        min_iou: smallest IoU at which boxes of two edits form one place.
    """
    first, whole_PG = next(iter(rewards.items()))
    known = [one for one in judgements if one.scores is not None]
    if not any(one.answer.has_regions and one.scores.is_semantic for one in known):
        return None
    size = whole_PG.shape[1]
    inside_PG, outside_PG = (
        _rewards(judgements, form, size).to(whole_PG) for form in (_INSIDE, _OUTSIDE)
    )
    whole, inside, outside = (
        comparison({**rewards, first: one}) for one in (whole_PG, inside_PG, outside_PG)
    )
    metrics: dict[str, list[float]] = {
        "reward/inside": inside_PG[inside_PG.isfinite()].tolist(),
        "reward/outside": outside_PG[outside_PG.isfinite()].tolist(),
    }
    maps, counts = [], []
    for number in range(len(whole_PG)):
        group = judgements[number * size : (number + 1) * size]
        drawn, teaches = _group_maps(
            group, [_row(one, number) for one in (whole, inside, outside)], grid, min_iou, metrics
        )
        maps.append(drawn)
        counts.append(teaches)
    return RegionMaps(torch.cat(maps), torch.stack(counts), metrics)


def places_of(boxes: Sequence[Sequence[Box]], min_iou: float) -> list[Place]:
    """Group boxes of several edits into places, each with at most one per edit.

    Joins the pairs with the largest overlap first, so the order of edits has no effect.
    """
    members = [(edit, box) for edit, own in enumerate(boxes) for box in own]
    parents = list(range(len(members)))

    def root(number: int) -> int:
        while parents[number] != number:
            number = parents[number]
        return number

    edits = [{edit} for edit, _ in members]
    overlaps = [
        (box_iou(box, members[other][1]), number, other)
        for number, (_, box) in enumerate(members)
        for other in range(number + 1, len(members))
    ]
    for iou, one, other in sorted(overlaps, key=lambda pair: (-pair[0], pair[1:])):
        one, other = root(one), root(other)
        if iou >= min_iou and one != other and edits[one].isdisjoint(edits[other]):
            parents[other] = one
            edits[one] |= edits[other]
    places: dict[int, dict[int, Box]] = {}
    for number, (edit, box) in enumerate(members):
        places.setdefault(root(number), {})[edit] = box
    return [Place(found) for found in places.values()]


def was_asked_for(place: Place, scores: Mapping[int, Scores]) -> bool:
    """Whether the instruction requested a change at a place.

    Args:
        place: of a group.
        scores: of the group's judged edits, by index.
    """
    semantic = {edit: one.editing_success + one.over_editing for edit, one in scores.items()}
    having = [value for edit, value in semantic.items() if edit in place.boxes]
    lacking = [value for edit, value in semantic.items() if edit not in place.boxes]
    return not lacking or float(np.mean(having)) > float(np.mean(lacking))


def coverage(boxes: Sequence[Box], grid: tuple[int, int]) -> tuple[Tensor, bool]:
    """Share of each position that the boxes cover together, ``[h, w]``; and whether all is 1."""
    ys, xs = (
        np.unique([0, BOX_SCALE, *(box[side] for box in boxes for side in sides)])
        for sides in ((1, 3), (0, 2))
    )
    covered = np.zeros((len(ys) - 1, len(xs) - 1))
    for x1, y1, x2, y2 in boxes:
        rows, columns = np.searchsorted(ys, (y1, y2)), np.searchsorted(xs, (x1, x2))
        covered[slice(*rows), slice(*columns)] = 1
    shares = _overlaps(ys, grid[0]) @ covered @ _overlaps(xs, grid[1]).T
    return torch.from_numpy(shares), bool(covered.all())


def _group_maps(
    group: Sequence[Judgement],
    compared: Sequence[tuple[Tensor, Tensor]],
    grid: tuple[int, int],
    min_iou: float,
    metrics: dict[str, list[float]],
) -> tuple[Tensor, Tensor]:
    """Maps ``[G, h, w]`` of a group's edits, and whether each contributes, ``[G]``."""
    (whole_G, whole_counts_G), (inside_G, inside_counts_G), (outside_G, outside_counts_G) = compared
    scores = {edit: _scores(one) for edit, one in enumerate(group) if one.scores is not None}
    boxes = [
        [region.bbox_2d for region in one.regions] if edit in scores else []
        for edit, one in enumerate(group)
    ]
    places = places_of(boxes, min_iou)
    asked = [place for place in places if was_asked_for(place, scores)]
    shares, has_rest = torch.zeros(len(group), *grid, dtype=torch.float64), False
    for edit in scores:
        shares[edit], is_all = coverage([place.box_of(edit) for place in asked], grid)
        has_rest = has_rest or not is_all
    judged = list(scores)
    metrics.setdefault("regions/asked_for", []).append(float(len(asked)))
    metrics.setdefault("regions/over_edited", []).append(float(len(places) - len(asked)))
    is_whole = not places or not has_rest
    metrics.setdefault("regions/whole_picture_share", []).append(float(is_whole))
    if is_whole:
        return whole_G.view(-1, 1, 1).expand(-1, *grid).clone(), whole_counts_G
    metrics.setdefault("regions/asked_area_share", []).extend(
        shares[judged].mean(dim=(1, 2)).tolist()
    )
    shares = shares.to(inside_G)
    maps = inside_G.view(-1, 1, 1) * shares + outside_G.view(-1, 1, 1) * (1 - shares)
    return maps, inside_counts_G | outside_counts_G


def _row(compared: Compared, number: int) -> tuple[Tensor, Tensor]:
    return compared.advantages_PG[number], compared.counts_PG[number]


def _rewards(judgements: Sequence[Judgement], form: Aggregation, size: int) -> Tensor:
    values = [
        float("nan") if one.scores is None else form.reward(_scores(one)) for one in judgements
    ]
    return torch.tensor(values).view(-1, size)


def _scores(judgement: Judgement) -> Scores:
    return judgement.soft_scores or judgement.scores


def _overlaps(edges: NDArray[np.float64], count: int) -> NDArray[np.float64]:
    """Share of each of ``count`` cells between neighbouring edges."""
    cells = np.arange(count + 1) * BOX_SCALE / count
    ends = np.minimum(cells[1:, None], edges[None, 1:])
    shared = ends - np.maximum(cells[:-1, None], edges[None, :-1])
    return shared.clip(min=0) * count / BOX_SCALE
