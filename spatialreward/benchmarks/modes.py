"""Speed and agreement of a joint judge's two modes.

Both modes judge the same edits in one process with the same weights, in turn. Kendall's tau is
tau-b over all pairs of edits that both modes judged.
"""

import statistics
import time
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy import stats

from spatialreward.edits import Edit
from spatialreward.errors import InvalidInputError
from spatialreward.figures import Figure
from spatialreward.judges.interface import Judging
from spatialreward.records import SCORES_OF, Judgement, JudgeMode

TARGET_SPEED = 10.0
"""Required speed-up of the head, in judgements a second."""
_DIMENSIONS = tuple(name for names in SCORES_OF.values() for name in names)


class Timed(NamedTuple):
    """A mode's judgements, and the time of each round."""

    judgements: list[Judgement]
    seconds: list[float]

    @property
    def per_second(self) -> list[float]:
        """Judgements a second, by round."""
        return [len(self.judgements) / one for one in self.seconds]


def time_modes(
    judges: dict[JudgeMode, Judging], edits: Sequence[Edit], rounds: int
) -> dict[JudgeMode, Timed]:
    """Judge the edits in each mode, alternating in every round.

    Args:
        judges: one per mode.
        edits: to judge.
        rounds: that count; an extra warm-up round precedes them.

    Raises:
        InvalidInputError: there are fewer than two edits.
    """
    if len(edits) < 2:
        raise InvalidInputError(f"edits: expected 2 or more to compare two modes, got {len(edits)}")
    timed = {mode: Timed(judging.judge(edits), []) for mode, judging in judges.items()}
    for _ in range(rounds):
        for mode, judging in judges.items():
            start = time.perf_counter()
            judging.judge(edits)
            timed[mode].seconds.append(time.perf_counter() - start)
    return timed


def mode_figures(timed: dict[JudgeMode, Timed], known: Sequence[Judgement | None]) -> list[Figure]:
    """Speed of both modes, their agreement, and that of each with the labels.

    Args:
        timed: see ``time_modes``.
        known: labels of the edits, None without one.
    """
    written, head = timed[JudgeMode.REASON], timed[JudgeMode.SCALAR]
    ratios = [fast / slow for fast, slow in zip(head.per_second, written.per_second, strict=True)]
    slow = statistics.median(written.per_second)
    figures = [
        Figure(
            name="modes/judgements_per_s",
            value=statistics.median(head.per_second),
            baseline=slow,
            spread=(min(head.per_second), max(head.per_second)),
        ),
        Figure.at_least(
            "modes/times_as_fast",
            statistics.median(ratios),
            TARGET_SPEED,
            baseline=1.0,
            spread=(min(ratios), max(ratios)),
        ),
        Figure(name="modes/failed", value=_failed(head), baseline=_failed(written)),
        *_agreement("tau/reward", head.judgements, written.judgements),
    ]
    for name in _DIMENSIONS:
        figures += _agreement(f"tau/{name}", head.judgements, written.judgements, name)
    labels = [one for one in known if one is not None]
    if len(labels) == len(known):
        of_head, of_written = (
            _agreement("tau_with_labels/reward", one.judgements, labels) for one in (head, written)
        )
        figures += [
            one.model_copy(update={"baseline": other.value})
            for one, other in zip(of_head, of_written, strict=False)
        ]
    return figures


def _failed(timed: Timed) -> float:
    return sum(one.reward is None for one in timed.judgements) / len(timed.judgements)


def _agreement(
    name: str, ones: Sequence[Judgement], others: Sequence[Judgement], score: str = ""
) -> list[Figure]:
    """Kendall's tau-b of two judges; no figure if one of them gives equal rewards only."""
    pairs = [
        (_value(one, score), _value(other, score)) for one, other in zip(ones, others, strict=True)
    ]
    both = np.array([pair for pair in pairs if None not in pair], dtype=float).reshape(-1, 2)
    if len(both) < 2 or (both == both[0]).all(axis=0).any():
        return []
    return [Figure(name=name, value=float(stats.kendalltau(both[:, 0], both[:, 1]).statistic))]


def _value(judgement: Judgement, score: str) -> float | None:
    if not score or judgement.reward is None:
        return judgement.reward
    scores = judgement.soft_scores or judgement.scores
    return None if scores is None else getattr(scores, score)
