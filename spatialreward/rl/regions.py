"""Advantages place by place, from what a judge says of regions.

The idea is SpatialFlow-GRPO's (arXiv 2606.26872), which has no public code; this is a definition of
its own:

1. A judge gives each edit boxes and two semantic scores: was the instruction carried out, and was
   everything else left alone? The first is about the boxes where something was asked for, the
   second about the rest of the picture; perceptual scores are about both. So an edit has two
   rewards: the paper's aggregation with the first score alone as its semantic part, and with the
   second alone. Each is compared within the group like any reward.
2. Boxes of different edits of a group are one place where they overlap enough. A place that all
   edits have was asked for. One that only some have was asked for if these edits are better by the
   sum of both semantic scores, since then the others have not done what they should have; else it
   is over-editing there, a part of the rest in which the edits without it are the better ones.
3. The map of an edit is the first advantage in the places that were asked for, by its own box or by
   the mean of its siblings' boxes, and the second elsewhere. A position that a box covers in part
   gets the mean by area.
4. In a group without places, and in one without a rest, there is nothing to tell apart: the map is
   the advantage of the whole picture everywhere, and the objective that of the algorithm without
   regions, to the bit.

Scores are those of whole edits, so all places that were asked for share one advantage. Reasoning is
not read: its words are free.
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
    """A region that some edits of a group have."""

    boxes: Mapping[int, Box]
    """By the number of the edit in its group."""

    def box_of(self, edit: int) -> Box:
        """The edit's own box, or the mean of the others'."""
        if edit in self.boxes:
            return self.boxes[edit]
        x1, y1, x2, y2 = np.mean(list(self.boxes.values()), axis=0).tolist()
        return (x1, y1, x2, y2)


class RegionMaps(NamedTuple):
    """Advantages place by place."""

    maps_Bhw: Tensor
    counts_PG: Tensor
    """Whether an edit teaches anything somewhere."""
    metrics: dict[str, list[float]]
    """By name, a number for each group or edit that has one."""


def region_maps(
    judgements: Sequence[Judgement],
    rewards: Mapping[str, Tensor],
    comparison: Comparison,
    grid: tuple[int, int],
    min_iou: float,
) -> RegionMaps | None:
    """A map of advantages for each edit; None if the judge says nothing of regions.

    Args:
        judgements: of the first of the rewards, ``B`` of them, group by group.
        rewards: ``[P, G]`` each, NaN where there is no judgement. Of the others' judges no regions
            are known: they speak of the whole picture.
        comparison: how rewards become advantages.
        grid: positions high and wide.
        min_iou: from which boxes of two edits are one place.
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
    """Boxes of several edits, those that are one place together; of an edit one at most.

    The pairs of boxes that overlap most are joined first, so the order of edits plays no part.
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
    """Whether a place is where the instruction wanted a change.

    Args:
        place: of a group.
        scores: of the group's edits that were judged, by their numbers.
    """
    semantic = {edit: one.editing_success + one.over_editing for edit, one in scores.items()}
    having = [value for edit, value in semantic.items() if edit in place.boxes]
    lacking = [value for edit, value in semantic.items() if edit not in place.boxes]
    return not lacking or float(np.mean(having)) > float(np.mean(lacking))


def coverage(boxes: Sequence[Box], grid: tuple[int, int]) -> tuple[Tensor, bool]:
    """Share of each position's area that boxes cover together, ``[h, w]``, and if they cover all."""
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
    """Maps ``[G, h, w]`` of a group's edits, and whether each teaches anything, ``[G]``."""
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
    """Shares of each of ``count`` cells that lie between neighbouring edges."""
    cells = np.arange(count + 1) * BOX_SCALE / count
    ends = np.minimum(cells[1:, None], edges[None, 1:])
    shared = ends - np.maximum(cells[:-1, None], edges[None, :-1])
    return shared.clip(min=0) * count / BOX_SCALE
