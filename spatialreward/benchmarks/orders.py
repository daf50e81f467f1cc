"""Our metrics of orders: ties stay ties, and a failed judgement gets its worst place.

Metrics take an order of candidates, predicted best first, where candidate 0 is truly the best.
Equal scores make several orders equally good predictions, and a metric is its mean over them. A
candidate without a score takes the place with the worst metric. So failing is never better than
answering.
"""

import itertools
import math
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from spatialreward.benchmarks.reference import kendall

_DIGITS = 9

Order = Sequence[int]
Measure = Callable[[Order], float]


def settled(score: float | None) -> float | None:
    """A score without its last digits, where rounding makes equal scores differ."""
    return None if score is None else round(score, _DIGITS)


def expected(
    measure: Measure, scores: Sequence[float | None], worst: Callable[..., float] = min
) -> float:
    """A metric of a group; its cost grows with the factorial of the group's size.

    Args:
        measure: of one order.
        scores: of the candidates, in their true order; None without a judgement.
        worst: ``max`` for a metric where less is better.
    """
    by_places: dict[tuple[int, ...], list[float]] = {}
    failed = [candidate for candidate, score in enumerate(scores) if score is None]
    for order in itertools.permutations(range(len(scores))):
        judged = [scores[candidate] for candidate in order if scores[candidate] is not None]
        if all(one >= following for one, following in itertools.pairwise(judged)):
            places = tuple(order.index(candidate) for candidate in failed)
            by_places.setdefault(places, []).append(measure(order))
    return worst(math.fsum(values) / len(values) for values in by_places.values())


def exact(scores: Sequence[float | None]) -> float:
    """1 if each candidate has a higher score than the next one; ties and failures are wrong."""
    return float(all(map(is_higher, scores, scores[1:])))


def is_higher(better: float | None, worse: float | None) -> bool:
    """Whether a pair is right; a tie and a failed judgement are wrong."""
    return better is not None and worse is not None and better > worse


def is_tie(one: float | None, other: float | None) -> bool:
    """Whether a judge scored two edits equally."""
    return one is not None and one == other


def tau(order: Order) -> float:
    """Kendall's tau; its mean over tie orders counts a tied pair as 0."""
    return kendall(order)


def spearman(order: Order) -> float:
    """Spearman's rho of an order without ties."""
    n = len(order)
    return 1 - 6 * sum((c - place) ** 2 for place, c in enumerate(order)) / (n * (n**2 - 1))


def ndcg(order: Order) -> float:
    """NDCG: candidate c gains n - c, discounted by the logarithm of its rank."""
    return _discounted(order) / _discounted(range(len(order)))


def top1(order: Order) -> float:
    """Whether the best candidate is first; its mean over tie orders is shared credit."""
    return float(order[0] == 0)


def top2(order: Order) -> float:
    """Whether the first two are the best two; always true for a group of two."""
    return float({*order[:2]} == {0, 1})


def position_error(order: Order) -> float:
    """Mean distance of a candidate from its true rank; less is better."""
    return sum(abs(c - place) for place, c in enumerate(order)) / len(order)


def group_tau(rewards: NDArray[np.float64], truths: NDArray[np.float64]) -> float:
    """Kendall's tau-b of a group's rewards, NaN without one, and its true rewards.

    0 if fewer than two edits have a reward or all of these are equal: RL gets no signal.
    """
    known = np.isfinite(rewards)
    if known.sum() < 2 or np.ptp(rewards[known]) == 0 or np.ptp(truths[known]) == 0:
        return 0.0
    return float(stats.kendalltau(rewards[known], truths[known]).statistic)


def _discounted(order: Order) -> float:
    n = len(order)
    return sum((n - candidate) / math.log2(place + 2) for place, candidate in enumerate(order))
