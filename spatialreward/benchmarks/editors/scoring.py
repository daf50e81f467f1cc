"""Computes figures from grades: the published arithmetic with its quirks, and ours.

Sources: VIEScore (arXiv 2312.14867) as in GEdit-Bench, its statistics over task types, and
ImgEdit-Bench's two scripts.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from spatialreward.benchmarks.editors.interface import EditorTask, Grade, Grades
from spatialreward.benchmarks.interface import Metric
from spatialreward.benchmarks.statistics import Values
from spatialreward.records import Scores

_TO_TEN = 25 / 10


class VieScore(NamedTuple):
    """VIEScore of an edit, 0..10; None in a stream that was not requested."""

    sc: float | None
    pq: float | None

    @classmethod
    def of(cls, scores: Scores) -> "VieScore":
        """The lower score of each stream."""
        return cls(
            _lower(scores.editing_success, scores.over_editing),
            _lower(scores.naturalness, scores.artifact_freedom),
        )

    @property
    def overall(self) -> float | None:
        """``sqrt(SC * PQ)``."""
        if self.sc is None or self.pq is None:
            return None
        return math.sqrt(self.sc * self.pq)


def _lower(*scores: float | None) -> float | None:
    given = [score for score in scores if score is not None]
    return min(given) / _TO_TEN if given else None


def mean_of_lines(answer: str) -> float | None:
    """ImgEdit-Bench's score of an answer; None where its script drops the case.

    It is the mean, to two digits, over every line that a colon and a space split into exactly two
    parts of which the second has only digits. So ``4/5`` is ignored, a number after another word
    counts, and fewer than three numbers are allowed.
    """
    numbers = []
    for line in answer.splitlines():
        parts = line.strip().split(": ")
        if len(parts) == 2 and parts[1].isdecimal():
            numbers.append(int(parts[1]))
    return round(sum(numbers) / len(numbers), 2) if numbers else None


class Rule(NamedTuple):
    """Aggregation of edits' scores in the published figures."""

    of_type: Callable[[Sequence[float]], float]
    """Over the edits of a task type."""
    of_all: Callable[[Sequence[float]], float]
    """Over the task types."""


GEDIT_RULE = Rule(lambda scores: float(np.mean(scores)), lambda types: float(np.mean(types)))
"""Means of task types, and their unweighted mean."""
IMGEDIT_RULE = Rule(
    lambda scores: round(sum(scores) / len(scores), 2), lambda types: sum(types) / len(types)
)
"""As above, with means of task types to two digits."""


class Measure(NamedTuple):
    """One number of a grade."""

    name: str
    published: Callable[[Grade], float | None]
    """None: not in the published scripts."""
    ours: Callable[[Grade], float | None]
    """For a readable grade; None: the grader does not give it."""
    worst: float
    """Value for a missing edit and an unreadable grade."""


def _published_by(part: Callable[[VieScore], float | None]) -> Callable[[Grade], float | None]:
    """From the written scores."""

    def measure(grade: Grade) -> float | None:
        judgement = grade.judgement
        if judgement is None or judgement.scores is None:
            return None
        return part(VieScore.of(judgement.scores))

    return measure


def _ours_by(part: Callable[[VieScore], float | None]) -> Callable[[Grade], float | None]:
    """From soft scores if the judge has them."""

    def measure(grade: Grade) -> float | None:
        judgement = grade.judgement
        if judgement is None or judgement.scores is None:
            return None
        return part(VieScore.of(judgement.soft_scores or judgement.scores))

    return measure


def _nothing(grade: Grade) -> float | None:
    return None


def _reward(grade: Grade) -> float | None:
    return None if grade.judgement is None else grade.judgement.reward


_PARTS: Mapping[str, Callable[[VieScore], float | None]] = {
    "overall": lambda score: score.overall,
    "sc": lambda score: score.sc,
    "pq": lambda score: score.pq,
}
REWARD = Measure("reward", _nothing, _reward, 0.0)
VIESCORE = (
    *(Measure(name, _published_by(part), _ours_by(part), 0.0) for name, part in _PARTS.items()),
    REWARD,
)
"""From four scores: 0..10, and the judge's own reward, 0..1."""
VIESCORE_OURS = tuple(one._replace(published=_nothing) for one in VIESCORE)
"""The same without published figures from four scores."""
RUBRIC = Measure(
    "score",
    lambda grade: mean_of_lines(grade.answers[-1][0]) if grade.answers[-1] else None,
    lambda grade: sum(grade.criteria) / len(grade.criteria) if grade.criteria else None,
    1.0,
)
"""From ImgEdit-Bench's rubric, 1..5."""


class Scope(NamedTuple):
    """A subset of tasks with its own figures."""

    suffix: str
    """Suffix of the figures' names, such as ``_en``."""
    tasks: Sequence[EditorTask]
    by_type: bool = True
    """Whether to add figures of each task type."""


def figures(
    scopes: Sequence[Scope], grades: Grades, measures: Sequence[Measure], rule: Rule
) -> list[Metric]:
    """All figures: those of whole scopes, missing grades, and those of task types."""
    known = [measure for measure in measures if _is_known(measure, grades)]
    whole = [
        _metric(f"{measure.name}{scope.suffix}", measure, scope.tasks, grades, rule)
        for scope in scopes
        for measure in known
    ]
    parts = [
        _metric(
            f"{measure.name}{scope.suffix}/{task_type}",
            measure,
            [task for task in scope.tasks if task.task_type == task_type],
            grades,
            rule,
        )
        for scope in scopes
        if scope.by_type
        for measure in known
        for task_type in _types_of(scope.tasks)
    ]
    everything = {task.id: task for scope in scopes for task in scope.tasks}.values()
    return [*whole, *_lacking(list(everything), grades), *parts]


def _is_known(measure: Measure, grades: Grades) -> bool:
    """Whether a grader gives a measure; assumed if no grade is readable."""
    read = [grade for grade in grades.values() if grade.failure is None]
    return not read or any(measure.ours(grade) is not None for grade in read)


def _metric(
    name: str, measure: Measure, tasks: Sequence[EditorTask], grades: Grades, rule: Rule
) -> Metric:
    published: dict[str, list[float]] = {}
    ours = []
    for task in tasks:
        grade = grades.get(task.id)
        score = None if grade is None else measure.published(grade)
        if score is not None:
            published.setdefault(task.task_type, []).append(score)
        own = None if grade is None or grade.failure is not None else measure.ours(grade)
        ours.append(measure.worst if own is None else own)
    in_order = [published[one] for one in _types_of(tasks) if one in published]
    reference = rule.of_all([rule.of_type(scores) for scores in in_order]) if in_order else None
    prompts = tuple(task.prompt for task in tasks)
    types = tuple(task.task_type for task in tasks)
    return Metric(name, reference, Values(prompts, tuple(ours), types))


def _lacking(tasks: Sequence[EditorTask], grades: Grades) -> list[Metric]:
    """Shares of tasks without an edited picture, and without a readable grade."""
    prompts = tuple(task.prompt for task in tasks)
    of = [grades.get(task.id) for task in tasks]
    missing = tuple(float(one is None) for one in of)
    unread = tuple(float(one is not None and one.failure is not None) for one in of)
    return [
        Metric("missing", None, Values(prompts, missing)),
        Metric("unreadable", None, Values(prompts, unread)),
    ]


def _types_of(tasks: Sequence[EditorTask]) -> list[str]:
    return list(dict.fromkeys(task.task_type for task in tasks if task.task_type)) or [""]
