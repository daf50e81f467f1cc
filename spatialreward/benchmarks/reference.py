"""The published arithmetic of scores and orders, with its quirks, bit for bit.

Sources: the evaluation scripts of SpatialReward (arXiv 2602.07458; MER-Bench, EditReward-Bench,
MMRB2), of EditScore, and of Multimodal RewardBench 2. Our own rules are in ``orders``.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from spatialreward.errors import Failure
from spatialreward.records import Judgement, Scores

MIDDLE = 12.5
"""The published scripts' value for each score of an unreadable answer."""
_RANGE = 25 / 10
_WEIGHTS = (0.6, 0.4, 0.5, 0.5)
_EXPONENT = 0.8

FULL_REVERSE = "full_reverse"
ADJACENT_SWAP = "adjacent_swap"
TOP_CONFUSED = "top_confused"
BOTTOM_CONFUSED = "bottom_confused"
MIXED = "mixed"
ERROR_TYPES = (FULL_REVERSE, ADJACENT_SWAP, TOP_CONFUSED, BOTTOM_CONFUSED, MIXED)


class FourScores(NamedTuple):
    """Written scores, 0..25."""

    success: float
    over_editing: float
    naturalness: float
    artifacts: float

    def weighted(self) -> float:
        """The paper's form, 0..10, with w = 0.6, 0.4, 0.5, 0.5 and a = 0.8."""
        s1, s2, s3, s4 = (score / _RANGE for score in self)
        w1, w2, w3, w4 = _WEIGHTS
        semantic = (w1 * s1 + w2 * s2) ** _EXPONENT
        return semantic * (w3 * s3 + w4 * s4) ** (1 - _EXPONENT)

    def lower(self) -> float:
        """The min form, 0..10."""
        semantic = min(self.success, self.over_editing) / _RANGE
        return math.sqrt(semantic * (min(self.naturalness, self.artifacts) / _RANGE))


def four_scores(judgement: Judgement | None) -> FourScores | None:
    """The published scripts' scores; None for an edit without a judgement.

    A failed answer gets the middle of the scale. So does a stream that was not requested.
    """
    if judgement is None or judgement.failure is Failure.BAD_INPUT:
        return None
    scores = judgement.scores or Scores(editing_success=MIDDLE, over_editing=MIDDLE)
    written = (
        scores.editing_success,
        scores.over_editing,
        scores.naturalness,
        scores.artifact_freedom,
    )
    return FourScores(*(MIDDLE if score is None else score for score in written))


def predicted_order(scores: Sequence[float]) -> list[int]:
    """Indices from the highest score to the lowest; equal scores keep the benchmark's order.

    If that is the true order, a judge with equal scores for all looks perfect.
    """
    return sorted(range(len(scores)), key=lambda place: scores[place], reverse=True)


class OrderMetrics(NamedTuple):
    """MER-Bench's metrics of one group."""

    exact: bool
    kendall: float
    spearman: float
    ndcg: float
    top1: int
    top2: int
    position_error: float
    error_type: str
    """Empty for an exact order."""


def order_metrics(order: Sequence[int], scores: Sequence[float] = ()) -> OrderMetrics:
    """Compare an order with the true one, which is 0, 1, 2, ...

    Equal scores make ``exact`` false and change nothing else. The NDCG is that of the inverse
    order: it confuses the candidate at a rank with the rank of a candidate.

    Args:
        order: candidates, predicted best first.
        scores: of the candidates; empty: ties are unknown.
    """
    n = len(order)
    has_ties = len(scores) > 0 and len(set(scores)) < n
    exact = list(order) == list(range(n)) and not has_ties
    first_two = min(2, n)
    return OrderMetrics(
        exact=exact,
        kendall=kendall(order),
        spearman=1 - (6 * sum((c - i) ** 2 for i, c in enumerate(order))) / (n * (n**2 - 1))
        if n > 1
        else 0,
        ndcg=float(_gain(order) / _gain(range(n))),
        top1=int(order[0] == 0),
        top2=int(set(order[:first_two]) == set(range(first_two))) if n >= 2 else 0,
        position_error=float(np.mean([abs(c - i) for i, c in enumerate(order)])),
        error_type="" if exact else _error_type(order),
    )


def kendall(order: Sequence[int]) -> float:
    """Kendall's tau of an order against 0, 1, 2, ...; 0 for a single candidate."""
    n = len(order)
    signs = [
        (order[i] < order[j]) - (order[i] > order[j]) for i in range(n) for j in range(i + 1, n)
    ]
    return sum(signs) / (0.5 * n * (n - 1)) if n > 1 else 0


def _gain(places: Sequence[int]) -> np.float64:
    n = len(places)
    return sum((n - i) / np.log2(place + 2) for i, place in enumerate(places))


def _error_type(order: Sequence[int]) -> str:
    n = len(order)
    if list(order) == list(range(n))[::-1]:
        return FULL_REVERSE
    if sum(abs(order[i] - i) == 1 for i in range(n - 1)) >= n - 1:
        return ADJACENT_SWAP
    if order[0] != 0:
        return TOP_CONFUSED
    return BOTTOM_CONFUSED if order[-1] != n - 1 else MIXED
