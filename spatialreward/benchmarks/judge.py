"""A judge's quality on held-out edits of known truth: order of rewards, regions, failures."""

import math
from collections import Counter
from collections.abc import Hashable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from spatialreward.data.regions.overlap import matched_iou
from spatialreward.errors import Failure, InvalidInputError
from spatialreward.records import Judgement, JudgementStatus, Mending

MIN_TRUE_DIFFERENCE = 0.05
"""Smallest difference of true rewards between compared edits."""
_BATCH = 64


class JudgeFigures(NamedTuple):
    """Figures of one judge on one set of edits."""

    pairwise_accuracy: float
    """Share of pairs in the true order; a tie or a failed judgement counts as wrong."""
    pairwise_within_accuracy: float
    """The same within tasks (instruction and source). NaN without pairs."""
    pairwise_across_accuracy: float
    """The same across tasks. NaN without pairs."""
    mean_iou: float
    """Mean over edits of ``matched_iou``; a failed judgement counts as 0. NaN for a judge without
    regions."""
    unparsable_share: float
    """Share of edits without a judgement."""
    reward_spearman: float
    """Rank correlation of reward and true reward over edits with a reward; 0 if undefined."""
    reward_mae: float
    """Mean absolute error of the reward, over edits with one."""
    failed_share: Mapping[Failure, float]
    """Share of edits without a judgement by reason; sums to ``unparsable_share``."""
    mended_edits: Mapping[Mending, int]
    """Number of edits with a repaired answer, by repair."""
    num_edits: int
    """Number of judged edits."""

    def measured(self) -> dict[str, float]:
        """By name, such as ``mean_iou`` and ``failed_share/cut_off``.

        Omits figures that these edits do not determine, and reasons and repairs that did not occur.
        """
        figures: dict[str, float] = {}
        for name, value in self._asdict().items():
            if isinstance(value, Mapping):
                figures |= {f"{name}/{one}": amount for one, amount in value.items() if amount}
            elif math.isfinite(value):
                figures[name] = value
        return figures


def judge_figures(
    truths: Sequence[Judgement], judgements: Sequence[Judgement], tasks: Sequence[Hashable]
) -> JudgeFigures:
    """Compare judgements with the truth.

    Args:
        truths: of each edit.
        judgements: of each edit, all by one judge.
        tasks: equal for edits of the same instruction and source.

    Raises:
        InvalidInputError: no two edits have true rewards that differ enough to compare.
    """
    rewards = np.array([np.nan if j.reward is None else j.reward for j in judgements])
    true_rewards = np.array([truth.reward for truth in truths])
    known = np.isfinite(rewards)
    spread = known.sum() > 1 and np.ptp(rewards[known]) > 0 and np.ptp(true_rewards[known]) > 0
    within, across = pairwise_by_task(true_rewards, rewards, tasks)
    return JudgeFigures(
        pairwise_accuracy=pairwise_accuracy(true_rewards, rewards),
        pairwise_within_accuracy=within,
        pairwise_across_accuracy=across,
        mean_iou=_mean_iou(truths, judgements),
        unparsable_share=float(np.mean(~known)),
        reward_spearman=float(stats.spearmanr(true_rewards[known], rewards[known]).statistic)
        if spread
        else 0.0,
        reward_mae=float(np.abs(true_rewards - rewards)[known].mean()) if known.any() else 1.0,
        failed_share=_failed_share(judgements),
        mended_edits=_mended_edits(judgements),
        num_edits=len(judgements),
    )


def _mean_iou(truths: Sequence[Judgement], judgements: Sequence[Judgement]) -> float:
    if not all(judgement.answer.has_regions for judgement in judgements):
        return math.nan
    ious = [
        matched_iou(truth.regions, judgement.regions)
        if judgement.status is JudgementStatus.OK
        else 0.0
        for truth, judgement in zip(truths, judgements, strict=True)
    ]
    return float(np.mean(ious))


def _failed_share(judgements: Sequence[Judgement]) -> dict[Failure, float]:
    counts = Counter(judgement.failure for judgement in judgements)
    return {reason: counts[reason] / len(judgements) for reason in Failure}


def _mended_edits(judgements: Sequence[Judgement]) -> dict[Mending, int]:
    counts = Counter(one for judgement in judgements for one in judgement.mended)
    return {one: counts[one] for one in Mending}


def pairwise_accuracy(true_rewards: NDArray[np.float64], rewards: NDArray[np.float64]) -> float:
    """Share of pairs in the true order, among those whose true rewards differ by 0.05 or more.

    Args:
        true_rewards: ``[N]``.
        rewards: ``[N]``; NaN without a judgement, which makes each of its pairs wrong.

    Raises:
        InvalidInputError: no pair differs enough.
    """
    pairs = compared_pairs(true_rewards, rewards)
    if not pairs.is_right.size:
        raise InvalidInputError(
            f"no two edits whose true rewards differ by {MIN_TRUE_DIFFERENCE} or more"
        )
    return float(pairs.is_right.mean())


def pairwise_by_task(
    true_rewards: NDArray[np.float64], rewards: NDArray[np.float64], tasks: Sequence[Hashable]
) -> tuple[float, float]:
    """As ``pairwise_accuracy``, within tasks and across tasks; NaN without pairs.

    The first is what RL needs: which of several attempts at a task is better. The second compares
    tasks.
    """
    pairs = compared_pairs(true_rewards, rewards)
    numbers = {task: number for number, task in enumerate(dict.fromkeys(tasks))}
    task_N = np.array([numbers[task] for task in tasks])
    is_within = task_N[pairs.first] == task_N[pairs.second]
    within, across = pairs.is_right[is_within], pairs.is_right[~is_within]
    return tuple(float(part.mean()) if part.size else math.nan for part in (within, across))


class Pairs(NamedTuple):
    """Pairs of edits whose true rewards differ enough to compare, ``[P]`` each."""

    first: NDArray[np.intp]
    second: NDArray[np.intp]
    is_right: NDArray[np.bool_]


def compared_pairs(true_rewards: NDArray[np.float64], rewards: NDArray[np.float64]) -> Pairs:
    """The pairs behind ``pairwise_accuracy``, which is the share of right ones."""
    first, second = np.triu_indices(len(true_rewards), k=1)
    true_difference = true_rewards[first] - true_rewards[second]
    # Small tolerance: 0.05 has no exact binary form.
    compared = np.abs(true_difference) >= MIN_TRUE_DIFFERENCE - 1e-9
    difference = rewards[first] - rewards[second]
    is_right = np.sign(difference) == np.sign(true_difference)
    return Pairs(first[compared], second[compared], is_right[compared])


def mean_reward_by_grade(
    grades: Sequence[str], judgements: Sequence[Judgement]
) -> Mapping[str, float]:
    """Mean reward by grade, over edits with a judgement."""
    by_grade: dict[str, list[float]] = {}
    for grade, judgement in zip(grades, judgements, strict=True):
        if grade and judgement.reward is not None:
            by_grade.setdefault(grade, []).append(judgement.reward)
    return {grade: float(np.mean(rewards)) for grade, rewards in sorted(by_grade.items())}


def problem_with(label: Judgement | None) -> str:
    """Why a two-stream judgement cannot be compared with this label."""
    if label is None:
        return "has no label"
    if not label.scores.is_semantic:
        return "label: has no SC scores"
    return "" if label.scores.is_perceptual else "label: has no PQ scores"
