"""Aggregates judges' measures for the claim: means over seeds, and ours against the best rival."""

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from scipy import stats

from spatialreward.benchmarks.statistics import Interval
from spatialreward.figures import Figure
from spatialreward.training.config import JudgeKind
from spatialreward.world.claim.measuring import MEASURES, Measured

_CONFIDENCE = 0.95
_LESS_IS_BETTER = {"over_editing_error", "training_s"}
_UNITS = {"judgements_per_s": "1/s", "training_s": "s"}
_CLAIMED = ("within_accuracy", "over_editing_error")
"""Measures in which ours should be the best."""
_NOT_COMPARED = {"training_s"}


class Mean(NamedTuple):
    """Mean of one measure over seeds."""

    value: float
    interval: Interval | None
    """Student's t over seeds, 95 %; None for one seed."""

    @classmethod
    def of(cls, values: Sequence[float]) -> "Mean":
        """From one value per seed."""
        mean = float(np.mean(values))
        if len(values) < 2:
            return cls(mean, None)
        error = float(np.std(values, ddof=1)) / math.sqrt(len(values))
        reach = float(stats.t.ppf((1 + _CONFIDENCE) / 2, len(values) - 1)) * error
        return cls(mean, Interval(mean - reach, mean + reach))


BySeed = Mapping[int, float]
Table = Mapping[str, Mapping[JudgeKind, BySeed]]
"""By measure and kind; omits kinds without the figure."""


def tabulate(judges: Sequence[Measured]) -> Table:
    """All measures of all judges."""
    table: dict[str, dict[JudgeKind, dict[int, float]]] = {name: {} for name in MEASURES}
    for name, measure in MEASURES.items():
        for one in judges:
            value = measure(one)
            if value is not None and math.isfinite(value):
                table[name].setdefault(one.kind, {})[one.seed] = value
    return table


def claim_figures(table: Table, ours: JudgeKind) -> list[Figure]:
    """Means with intervals over seeds, then ours minus the best rival, measure by measure.

    Takes the rival with the best mean, and the difference by seed; it is above 0 if ours is better,
    also for measures where less is better.
    """
    figures = []
    for name, kinds in table.items():
        for kind, by_seed in kinds.items():
            mean = Mean.of(list(by_seed.values()))
            figures.append(
                Figure(
                    name=f"{name}/{kind}",
                    value=mean.value,
                    unit=_UNITS.get(name, ""),
                    interval=mean.interval,
                )
            )
    return [*_differences(table, ours), *figures]


def _differences(table: Table, ours: JudgeKind) -> list[Figure]:
    figures = []
    for name, kinds in table.items():
        rivals = {kind: by_seed for kind, by_seed in kinds.items() if kind != ours}
        if ours not in kinds or not rivals or name in _NOT_COMPARED:
            continue
        sign = -1.0 if name in _LESS_IS_BETTER else 1.0
        best = max(rivals, key=lambda kind: sign * float(np.mean(list(rivals[kind].values()))))
        both = [seed for seed in kinds[ours] if seed in rivals[best]]
        difference = Mean.of([sign * (kinds[ours][one] - rivals[best][one]) for one in both])
        low = difference.interval.low if difference.interval else None
        is_claimed = name in _CLAIMED
        figures.append(
            Figure(
                name=f"claim/regions_minus_best_rival/{name}/{best}",
                value=difference.value,
                unit=_UNITS.get(name, ""),
                interval=difference.interval,
                target=0.0 if is_claimed else None,
                reached=None if not is_claimed or low is None else low > 0,
            )
        )
    return figures
