"""Judges pictures on disk with the served judge at the end of a run, and measures its regions.

The tiny judge knows only generated scenes. If the file of edits has the edited regions
(``regions``, boxes of 0..1000 of the edited picture), the judge's regions are compared with them,
with region proposal from pixels alone as the baseline.
"""

import logging
import statistics
from collections.abc import Iterable, Sequence
from pathlib import Path

from spatialreward.cli.edits import EditRequest
from spatialreward.cli.judge import judge_requests
from spatialreward.cli.verdict import to_json
from spatialreward.client import TritonJudge
from spatialreward.data.regions.overlap import union_iou
from spatialreward.errors import InvalidInputError
from spatialreward.figures import Figure
from spatialreward.images import load_image
from spatialreward.records import Judgement, JudgementStatus

logger = logging.getLogger(__name__)

Judged = tuple[EditRequest, Judgement]


def judge_on_disk(requests: Sequence[EditRequest], overlays: Path) -> list[Figure]:
    """Judge edits on disk through Triton, draw each, and write ``judgements.jsonl`` beside them."""
    judged: list[Judged] = []
    with TritonJudge.from_environment() as judging:
        logger.info("judging %d edits on disk; note: %s", len(requests), judging.notice or "none")
        with (overlays.parent / "judgements.jsonl").open("wb") as file:
            for request, judgement in judge_requests(judging, requests, overlays):
                judged.append((request, judgement))
                file.write(to_json(request, judgement, judging.notice, with_id=True) + b"\n")
    return figures_on_disk(judged)


def figures_on_disk(judged: Sequence[Judged]) -> list[Figure]:
    """The share without a judgement, and the mean IoU of regions if the true ones are known.

    The IoU is that of the unions of boxes; a failed judgement counts 0. Its baseline is the region
    proposal from pixels. Edits with unreadable pictures count as failures only; a judge without
    regions has no mean IoU.
    """
    failures = sum(judgement.status is JudgementStatus.FAILED for _, judgement in judged)
    if failures:
        logger.warning("no judgement for %d of %d edits on disk", failures, len(judged))
    figures = [Figure(name="on_disk/unparsable_share", value=failures / len(judged))]
    has_regions = all(judgement.answer.has_regions for _, judgement in judged)
    if has_regions and (pairs := list(_ious(judged))):
        ours, proposal = (statistics.fmean(column) for column in zip(*pairs, strict=True))
        figures.append(Figure(name="on_disk/mean_iou", value=ours, baseline=proposal))
    return figures


def _ious(judged: Iterable[Judged]) -> Iterable[tuple[float, float]]:
    """IoU of the judge's and of the proposed regions, for each edit with known regions."""
    from spatialreward.data.regions.proposal import propose

    for request, judgement in judged:
        if request.regions is None:
            continue
        try:
            prior = propose(load_image(request.source), load_image(request.edited))
        except InvalidInputError as error:
            logger.warning("%s: no regions were measured: %s", request.id, error)
            continue
        boxes = [region.bbox_2d for region in judgement.regions]
        is_judged = judgement.status is JudgementStatus.OK
        proposed = [region.bbox_2d for region in prior.regions]
        yield (
            union_iou(boxes, request.regions) if is_judged else 0.0,
            union_iou(proposed, request.regions),
        )
