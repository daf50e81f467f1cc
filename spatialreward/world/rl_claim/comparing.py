"""Aggregates trainings for the claim: gains of the oracle's reward, and comparisons of rewards.

All intervals are percentiles of resamples in which prompts and seeds are drawn with replacement,
the same ones for all rewards: edits of one prompt by all editors start from the same noise, so
differences are paired. Three seeds give less certainty than many would, so the interval is shown
with each seed's result.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from spatialreward.benchmarks.statistics import NUM_RESAMPLES, SEED, Interval
from spatialreward.figures import Figure
from spatialreward.world.rl_claim.config import CEILING, RIVALS, RewardKind
from spatialreward.world.rl_claim.looking import Look
from spatialreward.world.rl_claim.training import Trained

# S seeds, P prompts, N resamples
TARGET_SHARE = 0.8
"""As a share of the ceiling's gain."""
SHARE = "claim/share_of_ceiling"
_WITH, _WHOLE = "region_advantages", "regions"

Table = Mapping[RewardKind, Sequence[Trained]]
"""The trainings of each reward, in the order of the seeds."""


class Estimate(NamedTuple):
    """A value over all prompts and seeds, per seed, and per resample."""

    value: float
    by_seed: NDArray[np.float64]
    draws_N: NDArray[np.float64]

    @classmethod
    def mean(cls, values_SP: NDArray[np.float64]) -> Self:
        """The mean over seeds and prompts; arrays of one shape share their resamples."""
        seeds, prompts = values_SP.shape
        random = np.random.default_rng(SEED)
        shares_NS, shares_NP = (
            random.multinomial(count, np.full(count, 1 / count), size=NUM_RESAMPLES) / count
            for count in (seeds, prompts)
        )
        draws_N = np.einsum("ns,sp,np->n", shares_NS, values_SP, shares_NP, optimize=True)
        return cls(float(values_SP.mean()), values_SP.mean(axis=1), draws_N)

    def __sub__(self, other: "Estimate") -> "Estimate":
        """The paired difference."""
        return self._with(other, np.subtract)

    def __truediv__(self, other: "Estimate") -> "Estimate":
        """The paired ratio."""
        return self._with(other, np.divide)

    @property
    def interval(self) -> Interval:
        """Percentiles of 95 %."""
        low, high = np.quantile(self.draws_N, (0.025, 0.975))
        return Interval(float(low), float(high))

    def figure(self, name: str) -> Figure:
        """With the interval, and the range over seeds if there are several."""
        ends = (float(self.by_seed.min()), float(self.by_seed.max()))
        spread = ends if len(self.by_seed) > 1 else None
        return Figure(name=name, value=self.value, interval=self.interval, spread=spread)

    def _with(self, other: "Estimate", combine: Callable[..., NDArray[np.float64]]) -> "Estimate":
        return Estimate(
            float(combine(self.value, other.value)),
            combine(self.by_seed, other.by_seed),
            combine(self.draws_N, other.draws_N),
        )


def tabulate(trainings: Sequence[Trained]) -> Table:
    """Trainings by their rewards."""
    table: dict[RewardKind, list[Trained]] = {}
    for one in trainings:
        table.setdefault(one.kind, []).append(one)
    return table


def gain(trainings: Sequence[Trained], look: Callable[[Trained], Look] | None = None) -> Estimate:
    """A policy's gain of the oracle's reward over the initial editor.

    Args:
        trainings: of one reward, one per seed.
        look: selects the policy of a training; None: the last one.
    """
    chosen = look or (lambda one: one.looks[-1])
    return Estimate.mean(
        np.array([chosen(one).rewards for one in trainings])
        - np.array([one.looks[0].rewards for one in trainings])
    )


def kept(training: Trained) -> Look:
    """The policy that the watch would keep: the best by the held-out judge.

    Considers looks up to the one at which it would have stopped the training.
    """
    stops = [number for number, look in enumerate(training.looks) if look.stop]
    seen = training.looks[: stops[0] + 1 if stops else None]
    # A judge that failed on all edits selects none.
    return next((look for look in reversed(seen) if look.is_best), seen[0])


def claim_figures(table: Table) -> list[Figure]:
    """The claim first, then each reward's results."""
    gains = {kind: gain(trainings) for kind, trainings in table.items()}
    figures = list(_differences(gains))
    figures += _shares(gains)
    before = Estimate.mean(np.array([one.looks[0].rewards for one in table[CEILING]]))
    figures.append(before.figure("oracle_reward/before"))
    for kind, trainings in table.items():
        after = Estimate.mean(np.array([one.looks[-1].rewards for one in trainings]))
        figures.append(after.figure(f"oracle_reward/after/{kind}"))
    figures += [one.figure(f"gain/{kind}") for kind, one in gains.items()]
    figures += [
        gain(trainings, kept).figure(f"gain_of_the_kept/{kind}")
        for kind, trainings in table.items()
    ]
    for name, unit in (("step_s", "s"), ("judging_s", "s")):
        for kind, trainings in table.items():
            seconds = float(np.mean([getattr(one.told, name) for one in trainings]))
            figures.append(Figure(name=f"{name}/{kind}", value=seconds, unit=unit))
    return figures


def _differences(gains: Mapping[RewardKind, Estimate]) -> list[Figure]:
    """Region advantages against the whole picture's, and the judge with regions against each rival.

    The latter all use whole-picture advantages, so that only the judges differ.
    """
    pairs = {}
    if _WITH in gains and _WHOLE in gains:
        pairs["region_advantages_minus_whole_picture"] = gains[_WITH] - gains[_WHOLE]
    if _WHOLE in gains:
        for rival in RIVALS:
            if rival in gains:
                pairs[f"regions_minus/{rival}"] = gains[_WHOLE] - gains[rival]
    return [
        one.figure(f"claim/{name}").model_copy(
            update={"target": 0.0, "reached": one.interval.low > 0}
        )
        for name, one in pairs.items()
    ]


def _shares(gains: Mapping[RewardKind, Estimate]) -> list[Figure]:
    """Gains as shares of the ceiling's; empty if the ceiling has no gain."""
    ceiling = gains[CEILING]
    if ceiling.interval.low <= 0:
        return []
    figures = []
    for kind, one in gains.items():
        if kind == CEILING:
            continue
        share = one / ceiling
        figure = share.figure(f"{SHARE}/{kind}")
        if kind in (_WITH, _WHOLE):
            reached = share.value >= TARGET_SHARE
            figure = figure.model_copy(update={"target": TARGET_SHARE, "reached": reached})
        figures.append(figure)
    return figures
