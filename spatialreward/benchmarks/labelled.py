"""Edits of known truth as a benchmark: the generated world's, or any packed data set with labels.

An item is a task, an instruction and its sources, with all its edits. A task of one edit has no
order of its own, but its regions, its reward and its rank among the other tasks are measured.
"""

import hashlib
import json
import math
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from typing import NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from spatialreward.benchmarks.interface import (
    Candidate,
    Item,
    Judgements,
    LeftOut,
    Metric,
    Published,
)
from spatialreward.benchmarks.judge import (
    JudgeFigures,
    compared_pairs,
    judge_figures,
    matched_iou,
    pairwise_accuracy,
    problem_with,
)
from spatialreward.benchmarks.orders import group_tau
from spatialreward.benchmarks.published import key_of
from spatialreward.benchmarks.statistics import Values
from spatialreward.data.dataset import Dataset
from spatialreward.data.edits import LabelledEdit
from spatialreward.errors import Failure, InvalidInputError
from spatialreward.progress import track
from spatialreward.records import Judgement

WITHIN_GROUP_AGREEMENT = "within_group_agreement"
_HELD_EDITS = 64
_MISSING = Judgement.failed("was not judged", Failure.JUDGE_FAILED)


class _Reader:
    """Edits by number; caches the last one for consecutive reads."""

    def __init__(self, data: Dataset) -> None:
        self._data = data
        self._stream: Iterator[LabelledEdit] = iter(())
        self._next = -1
        self._held: OrderedDict[int, LabelledEdit] = OrderedDict()

    def edit(self, number: int) -> LabelledEdit:
        if number not in self._held:
            if number != self._next:
                self._stream = self._data.edits(number)
            self._held[number] = next(self._stream)
            self._next = number + 1
            while len(self._held) > _HELD_EDITS:
                self._held.popitem(last=False)
        return self._held[number]


class LabelledPicture(NamedTuple):
    """A picture of an edit in a packed data set."""

    reader: _Reader
    number: int
    """Of the edit."""
    where: str
    """See ``Picture``."""
    source: int | None = None
    """Index of the source; None: the edited picture."""

    def read(self) -> bytes:
        """See ``Picture``."""
        edit = self.reader.edit(self.number)
        return edit.edited or b"" if self.source is None else edit.sources[self.source]


class LabelledEdits(NamedTuple):
    """See ``Benchmark``."""

    published: Published
    truths: dict[str, Judgement]
    """A perfect judge's judgements, by key."""
    grades: dict[str, str]
    """How each edit was generated, by key, if the data set has its ``grade``; else empty."""
    name: str = "world"
    title: str = "edits of known truth"
    rules: str = (
        "the figures of benchmarks.judge, which the gate reads: all pairs of edits whose true "
        "rewards differ by 0.05 or more, within a task and across tasks; ties and failures are "
        "wrong"
    )

    @classmethod
    def of(cls, data: Dataset) -> Self:
        """Read the labels; drops edits without both streams, by name.

        Raises:
            InvalidInputError: no two labels differ enough to be compared, or a shard is damaged.
        """
        found = cls(Published((), ()), {}, {})
        reader, left_out = _Reader(data), []
        tasks: dict[str, list[_Member]] = {}
        reading = track(data, total=len(data), description="reading the labelled edits")
        seen: set[str] = set()
        for number, edit in enumerate(reading):
            problem = problem_with(edit.label) or ("comes twice" if edit.id in seen else "")
            if problem:
                left_out.append(LeftOut(f"edit {edit.id}", problem))
                continue
            seen.add(edit.id)
            label = json.dumps(edit.label.model_dump(mode="json"), sort_keys=True)
            task = key_of(edit.instruction, *map(_sha256, edit.sources))
            key = key_of(edit.id, task, label, _sha256(edit.edited or b""))
            found.truths[key] = edit.label
            found.grades[key] = str(edit.given.get("grade", ""))
            picture = LabelledPicture(reader, number, f"{edit.id}/edited")
            tasks.setdefault(task, []).append(
                _Member(
                    Candidate(key, edit.id, picture, edit.truth),
                    edit.instruction,
                    edit.operation,
                    tuple(
                        picture._replace(where=f"{edit.id}/source", source=place)
                        for place in range(len(edit.sources))
                    ),
                )
            )
        items = tuple(found._item(task, members) for task, members in tasks.items())
        rewards = np.array([truth.reward for truth in found.truths.values()])
        if len(rewards) < 2:
            why = f"; {left_out[0].where}: {left_out[0].reason}" if left_out else ""
            raise InvalidInputError(f"{data}: expected two labelled edits or more{why}")
        pairwise_accuracy(rewards, rewards)
        return found._replace(published=Published(items, tuple(left_out)))

    def _item(self, task: str, members: Sequence["_Member"]) -> Item:
        first = members[0]
        rewards = [self.truths[one.candidate.key].reward for one in members]
        return Item(
            id=first.candidate.name,
            prompt=task,
            instruction=first.instruction,
            sources=first.sources,
            candidates=tuple(one.candidate for one in members),
            order=tuple(sorted(range(len(rewards)), key=lambda place: -rewards[place])),
            labels={"operation": first.operation},
        )

    def score(self, judgements: Judgements) -> list[Metric]:
        """See ``Benchmark``."""
        ordered = self._ordered(judgements)
        figures = self.figures(judgements)
        ours = _ours(ordered, figures)
        measured = figures.measured()
        shares = {"ties": _share_of_ties(ordered)}
        return [
            *(Metric(name, value, ours.pop(name, None)) for name, value in measured.items()),
            *(Metric(name, value, None) for name, value in shares.items()),
            *(Metric(name, None, values) for name, values in ours.items() if values is not None),
        ]

    def figures(self, judgements: Judgements) -> JudgeFigures:
        """The figures for the gate."""
        ordered = self._ordered(judgements)
        return judge_figures(ordered.truths, ordered.judgements, ordered.tasks)

    def in_order(self, judgements: Judgements) -> list[Judgement]:
        """A judgement an edit, in the order of the data set."""
        return [judgements.get(key, _MISSING) for key in self.truths]

    def _ordered(self, judgements: Judgements) -> "_Ordered":
        task_by_key = {
            candidate.key: item.prompt
            for item in self.published.items
            for candidate in item.candidates
        }
        return _Ordered(
            list(self.truths.values()),
            self.in_order(judgements),
            [task_by_key[key] for key in self.truths],
        )


class _Member(NamedTuple):
    """An item's data for an edit; its pictures stay in the data set."""

    candidate: Candidate
    instruction: str
    operation: str
    sources: tuple[LabelledPicture, ...]


class _Ordered(NamedTuple):
    """Edits in the order of the data set."""

    truths: list[Judgement]
    judgements: list[Judgement]
    tasks: list[str]

    @property
    def true_rewards(self) -> NDArray[np.float64]:
        return np.array([truth.reward for truth in self.truths])

    @property
    def rewards(self) -> NDArray[np.float64]:
        return np.array([np.nan if one.reward is None else one.reward for one in self.judgements])


def _ours(ordered: _Ordered, figures: JudgeFigures) -> dict[str, Values | None]:
    """The values of figures with a breakdown by task."""
    tasks = tuple(ordered.tasks)
    ours = {
        "pairwise_accuracy": _all_pairs(ordered),
        "pairwise_within_accuracy": _pairs_within(ordered),
    }
    if math.isfinite(figures.mean_iou):
        ious = (
            0.0 if judgement.reward is None else matched_iou(truth.regions, judgement.regions)
            for truth, judgement in zip(ordered.truths, ordered.judgements, strict=True)
        )
        ours["mean_iou"] = Values(tasks, tuple(ious))
    missing = tuple(float(one.reward is None) for one in ordered.judgements)
    return ours | {
        "unparsable_share": Values(tasks, missing),
        WITHIN_GROUP_AGREEMENT: _agreement(ordered),
    }


def _all_pairs(ordered: _Ordered) -> Values:
    """Pairwise accuracy as a mean over tasks, by the jackknife.

    A pair belongs to two tasks, so a mean over rows would understate the uncertainty.
    Pseudo-values, T times the figure minus T - 1 times that of the others (Quenouille, Tukey), have
    the right spread; they are shifted so that their mean is the figure itself.
    """
    pairs = compared_pairs(ordered.true_rewards, ordered.rewards)
    names = tuple(dict.fromkeys(ordered.tasks))
    number = {name: place for place, name in enumerate(names)}
    task_N = np.array([number[task] for task in ordered.tasks])
    first_P, second_P = task_N[pairs.first], task_N[pairs.second]
    weights = np.ones(len(first_P)), pairs.is_right.astype(float)
    counts_T, rights_T = (
        np.bincount(first_P, weight, len(names))
        + np.bincount(second_P, weight * (first_P != second_P), len(names))
        for weight in weights
    )
    total, right = (float(weight.sum()) for weight in weights)
    figure, others_T = right / total, total - counts_T
    # If every pair involves one task, leaving it out leaves no pair.
    without_T = np.divide(
        right - rights_T, others_T, out=np.full(len(names), figure), where=others_T > 0
    )
    pseudo_T = len(names) * figure - (len(names) - 1) * without_T
    return Values(names, tuple((pseudo_T - pseudo_T.mean() + figure).tolist()))


def _pairs_within(ordered: _Ordered) -> Values | None:
    pairs = compared_pairs(ordered.true_rewards, ordered.rewards)
    rows = [
        (ordered.tasks[first], float(is_right))
        for first, second, is_right in zip(*pairs, strict=True)
        if ordered.tasks[first] == ordered.tasks[second]
    ]
    return _values(rows)


def _agreement(ordered: _Ordered) -> Values | None:
    """Kendall's tau-b of rewards and truth within each task that has an order."""
    groups: dict[str, list[int]] = {}
    for number, task in enumerate(ordered.tasks):
        groups.setdefault(task, []).append(number)
    rewards, truths = ordered.rewards, ordered.true_rewards
    return _values(
        [
            (task, group_tau(rewards[members], truths[members]))
            for task, members in groups.items()
            if np.ptp(truths[members]) > 0
        ]
    )


def _share_of_ties(ordered: _Ordered) -> float:
    """Share of compared pairs with equal rewards."""
    pairs = compared_pairs(ordered.true_rewards, ordered.rewards)
    rewards = ordered.rewards
    return float(np.mean(rewards[pairs.first] == rewards[pairs.second]))


def _values(rows: Sequence[tuple[str, float]]) -> Values | None:
    return Values(*zip(*rows, strict=True)) if rows else None


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
