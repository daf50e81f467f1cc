"""Metrics from a step's judgements beside the mean reward: by operation, by score, by region.

The training reports them with the metrics of the step.
"""

import math
from collections import defaultdict
from collections.abc import Iterable, Sequence

from spatialreward.data.regions.overlap import covered
from spatialreward.edits import Edit
from spatialreward.records import Judgement
from spatialreward.rl.types import Scored

_UNNAMED = "unnamed"


def describe(edits: Sequence[Edit], scored: Scored) -> dict[str, float]:
    """Metrics of some edits and their rewards; omits those without a value.

    - ``reward/NAME``: mean of each reward, if there are several;
    - ``operation/NAME``: mean of the first reward over the edits of one operation, in the data
      set's words; ``unnamed`` if it has none;
    - ``judge/editing_success`` and so on: mean of each written score, 0..25;
    - ``regions/mean_count``, ``regions/none_share``, ``regions/area_share``: for judges that
      predict regions, their mean number, the share of edits without one, and the mean share of the
      picture that they cover together.

    Args:
        edits: the scored edits.
        scored: their rewards, edit by edit.
    """
    metrics: dict[str, float] = {}
    if len(scored.rewards) > 1:
        for name, of_B in scored.rewards.items():
            metrics |= _mean(f"reward/{name}", of_B.tolist())
    by_operation = defaultdict(list)
    first_B = next(iter(scored.rewards.values())).tolist()
    for edit, reward in zip(edits, first_B, strict=True):
        by_operation[edit.operation or _UNNAMED].append(reward)
    for operation, rewards in sorted(by_operation.items()):
        metrics |= _mean(f"operation/{operation}", rewards)
    return metrics | _of_judgements(scored.judgements or ())


def _of_judgements(judgements: Sequence[Judgement]) -> dict[str, float]:
    judged = [one for one in judgements if one.reward is not None]
    by_score = defaultdict(list)
    for judgement in judged:
        for name, score in judgement.scores.given().items():
            by_score[name].append(score)
    metrics = {f"judge/{name}": _average(scores) for name, scores in by_score.items()}
    located = [one.regions for one in judged if one.answer.has_regions]
    if located:
        metrics["regions/mean_count"] = _average(map(len, located))
        metrics["regions/none_share"] = _average(not regions for regions in located)
        metrics["regions/area_share"] = _average(
            float(covered(region.bbox_2d for region in regions).mean()) for regions in located
        )
    return metrics


def _mean(name: str, values: Sequence[float]) -> dict[str, float]:
    """The metric over the present values, if any."""
    known = [value for value in values if math.isfinite(value)]
    return {name: _average(known)} if known else {}


def _average(values: Iterable[float]) -> float:
    known = list(values)
    return sum(known) / len(known)
