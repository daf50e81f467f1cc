"""A judge's stored results on the held-out edits, and the measures computed from them."""

import time
from collections.abc import Callable, Iterable, Mapping
from itertools import combinations, groupby, islice
from pathlib import Path

import numpy as np

from spatialreward.benchmarks.attention import measure_attention
from spatialreward.benchmarks.judge import MIN_TRUE_DIFFERENCE, pairwise_by_task
from spatialreward.benchmarks.labelled import LabelledEdits
from spatialreward.benchmarks.run import judge_benchmark
from spatialreward.data.dataset import Dataset
from spatialreward.data.regions.overlap import matched_iou
from spatialreward.data.tasks import edit_to_judge
from spatialreward.judges.interface import Judging
from spatialreward.judges.load import load_judge
from spatialreward.records import MAX_SCORE, Judgement, JudgementStatus, Record
from spatialreward.training.config import JudgeKind
from spatialreward.world.agreement import DrawnGroups, agreement_figures
from spatialreward.world.claim.config import OURS, ClaimConfig

BY_HEAD: tuple[JudgeKind, ...] = ("discriminative", "joint")
"""Kinds that judge with their scalar head."""
_HAIR = 1e-9


class Row(Record):
    """One held-out edit: truth and judgement."""

    task: int
    """Shared by candidates of one task."""
    true_reward: float
    reward: float | None
    """None for a failed judgement."""
    true_over_editing: float
    over_editing: float | None
    iou: float | None
    """None for a judge without regions; 0 for a failed judgement."""


class Measured(Record):
    """One judge."""

    kind: JudgeKind
    seed: int
    rows: tuple[Row, ...]
    source_attention: float | None
    """Share of the source in the attention to pictures while generating scores, mean over layers;
    None without generated scores."""
    group_agreement: float
    """Kendall's tau with the oracle within groups of edits that an editor drew."""
    judgements_per_s: float
    training_s: float


def measure(
    config: ClaimConfig,
    kind: JudgeKind,
    seed: int,
    folder: Path,
    heldout: Dataset,
    groups: DrawnGroups,
    training_s: float,
) -> Measured:
    """Judge the held-out edits and the drawn groups.

    Args:
        config: gives the numbers of edits.
        kind: of the judge; a joint one judges with its head.
        seed: of its training.
        folder: its checkpoint; the results are stored beside it.
        heldout: edits of known truth.
        groups: edits from one editor.
        training_s: duration of the training.
    """
    known = LabelledEdits.of(heldout)
    with load_judge(folder, mode="scalar" if kind in BY_HEAD else "reason") as judging:
        run = judge_benchmark(known, judging, folder.with_name("judged"))
        speed = _judgements_per_s(judging, heldout, config.timed_edits)
        agreement = agreement_figures(groups, judging).judge
    rows = [
        _row(task, known.truths[one.key], run.judgements[one.key], has_regions=kind == OURS)
        for task, item in enumerate(known.published.items)
        for one in item.candidates
    ]
    attention = None
    if kind != "discriminative":
        looked = measure_attention(folder, heldout, config.attention_edits)
        attention = float(looked.source_of_pictures("scores").mean())
    return Measured(
        kind=kind,
        seed=seed,
        rows=tuple(rows),
        source_attention=attention,
        group_agreement=agreement,
        judgements_per_s=speed,
        training_s=training_s,
    )


def within_accuracy(measured: Measured) -> float | None:
    """Share of pairs of one task in the true order; a tie or a failure is wrong."""
    rows = measured.rows
    within, _ = pairwise_by_task(
        np.array([row.true_reward for row in rows]),
        np.array([np.nan if row.reward is None else row.reward for row in rows]),
        [row.task for row in rows],
    )
    return within


def exact_order(measured: Measured, size: int) -> float | None:
    """Share of tasks with ``size`` candidates, all of different quality, in fully correct order."""
    rights = [
        all(_is_right(better, worse) for better, worse in combinations(ranked, 2))
        for ranked in map(_by_truth, _tasks(measured, size))
        if all(_differ(better, worse) for better, worse in combinations(ranked, 2))
    ]
    return sum(rights) / len(rights) if rights else None


def over_editing_error(measured: Measured) -> float | None:
    """Mean absolute error of the over-editing score, 0..25; a failed judgement's is 25.

    None for a judge that learnt only orders: its scores have no scale.
    """
    if measured.kind == "discriminative":
        return None
    return _mean(
        MAX_SCORE if row.over_editing is None else abs(row.over_editing - row.true_over_editing)
        for row in measured.rows
    )


def region_iou(measured: Measured) -> float | None:
    """Mean matched IoU; None for a judge without regions."""
    ious = [row.iou for row in measured.rows if row.iou is not None]
    return sum(ious) / len(ious) if ious else None


MEASURES: Mapping[str, Callable[[Measured], float | None]] = {
    "within_accuracy": within_accuracy,
    "exact_order_of_2": lambda measured: exact_order(measured, 2),
    "exact_order_of_3": lambda measured: exact_order(measured, 3),
    "exact_order_of_4": lambda measured: exact_order(measured, 4),
    "over_editing_error": over_editing_error,
    "region_iou": region_iou,
    "source_attention": lambda measured: measured.source_attention,
    "group_agreement": lambda measured: measured.group_agreement,
    "judgements_per_s": lambda measured: measured.judgements_per_s,
    "training_s": lambda measured: measured.training_s,
}
"""By name; None if a judge has no such figure."""


def _row(task: int, truth: Judgement, judgement: Judgement, *, has_regions: bool) -> Row:
    scores = judgement.soft_scores or judgement.scores
    iou = None
    if has_regions:
        is_read = judgement.status is JudgementStatus.OK
        iou = matched_iou(truth.regions, judgement.regions) if is_read else 0.0
    return Row(
        task=task,
        true_reward=truth.reward,
        reward=judgement.reward,
        true_over_editing=truth.scores.over_editing,
        over_editing=None if scores is None else scores.over_editing,
        iou=iou,
    )


def _judgements_per_s(judging: Judging, heldout: Dataset, num_edits: int) -> float:
    """For edits judged before, so that compilation does not count."""
    edits = [edit_to_judge(edit) for edit in islice(heldout, num_edits)]
    start = time.perf_counter()
    judging.judge(edits)
    return len(edits) / (time.perf_counter() - start)


def _tasks(measured: Measured, size: int) -> list[list[Row]]:
    by_task = groupby(sorted(measured.rows, key=lambda row: row.task), key=lambda row: row.task)
    return [rows for rows in (list(rows) for _, rows in by_task) if len(rows) == size]


def _by_truth(rows: list[Row]) -> list[Row]:
    return sorted(rows, key=lambda row: -row.true_reward)


def _differ(better: Row, worse: Row) -> bool:
    return better.true_reward - worse.true_reward >= MIN_TRUE_DIFFERENCE - _HAIR


def _is_right(better: Row, worse: Row) -> bool:
    return None not in (better.reward, worse.reward) and better.reward > worse.reward


def _mean(values: Iterable[float]) -> float:
    known = list(values)
    return sum(known) / len(known)
