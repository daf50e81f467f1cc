"""EditReward-Bench as EditScore published it: pairs of edits, each better on one dimension.

Not the benchmark of the same name by TIGER-Lab, whose figures do not compare. Reads the Arrow or
Parquet files of the hub and ``bench.jsonl`` with pictures beside it. The first picture of a pair is
the better one. A picture may appear in several rows, under one id, and is judged once.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple, Self

import numpy as np

from spatialreward.benchmarks.interface import (
    Candidate,
    Item,
    Judgements,
    LeftOut,
    Metric,
    Published,
)
from spatialreward.benchmarks.orders import is_higher, is_tie, settled
from spatialreward.benchmarks.published import (
    Row,
    collect,
    digest_of,
    files_in,
    json_lines,
    json_rows,
    key_of,
    table_rows,
)
from spatialreward.benchmarks.reference import FourScores, four_scores
from spatialreward.benchmarks.statistics import Values
from spatialreward.errors import InvalidInputError
from spatialreward.records import Judgement

PROMPT_FOLLOWING, CONSISTENCY, OVERALL = "prompt_following", "consistency", "overall"
DIMENSIONS = (OVERALL, PROMPT_FOLLOWING, CONSISTENCY)
OVERALL_MIN = "overall_min"
GROUPS: Mapping[str, tuple[str, ...]] = {
    "object": ("subject-add", "subject-remove", "subject-replace"),
    "appearance": ("color_alter", "material_alter", "style_change", "tone_transfer"),
    "scene": ("background_change", "extract"),
    "advanced": ("ps_human", "text_change", "motion_change", "compose"),
}
_COLUMNS = ("key", "instruction", "task_type", "dimension", "input_image", "output_images")


class _Pair(NamedTuple):
    """One judged row; the first of each two is the better one."""

    item: Item
    ours: tuple[float | None, float | None]
    reference: tuple[FourScores | None, FourScores | None]

    @property
    def task_type(self) -> str:
        return self.item.labels["task_type"]

    @property
    def dimension(self) -> str:
        return self.item.labels["dimension"]


class EditRewardBench(NamedTuple):
    """See ``Benchmark``."""

    published: Published
    name: str = "editreward-bench"
    title: str = "EditReward-Bench (EditScore's, not TIGER-Lab's)"
    rules: str = (
        "the evaluation script of SpatialReward: written scores, failed answers are 12.5, pairs "
        "that were not judged are left out, unweighted mean over task types, of which a dimension "
        "without pairs counts 0; overall_min is EditScore's overall of one pass"
    )

    @classmethod
    def read(cls, folder: Path) -> Self:
        """Read a folder in one of the published layouts.

        Raises:
            InvalidInputError: the layout is unknown, or no row is usable.
        """
        return cls(collect(_rows(folder), _item))

    def score(self, judgements: Judgements) -> list[Metric]:
        """See ``Benchmark``."""
        pairs = [_pair(item, judgements) for item in self.published.items]
        tasks = sorted({pair.task_type for pair in pairs})
        accuracies = _reference(pairs)
        of_min = _reference(pairs, with_min=True)
        metrics = [_metric(name, name, pairs, accuracies, tasks) for name in DIMENSIONS]
        metrics.append(Metric(OVERALL_MIN, _average(of_min, OVERALL, tasks), None))
        metrics += [
            Metric("ties", None, _values(pairs, lambda pair: is_tie(*pair.ours))),
            Metric("failed", None, _values(pairs, lambda pair: None in pair.ours)),
        ]
        for dimension in DIMENSIONS:
            parts = [*GROUPS.items(), *((task, (task,)) for task in tasks)]
            metrics += [
                _metric(f"{dimension}/{part}", dimension, pairs, accuracies, of_part)
                for part, of_part in parts
                if set(of_part) & set(tasks)
            ]
        return metrics


def _rows(folder: Path) -> Iterator[Row | LeftOut]:
    patterns = [
        f"{place}*.{kind}" for kind in ("arrow", "parquet") for place in ("", "data/", "train/")
    ]
    for path in files_in(folder, *patterns, "bench.jsonl"):
        if path.suffix == ".jsonl":
            yield from json_rows(path, _COLUMNS, json_lines)
        else:
            yield from table_rows([path], _COLUMNS)


def _item(row: Row) -> Item:
    names, edited = row.texts("key"), row.pictures("output_images")
    if len(names) != 2 or len(edited) != 2 or names[0] == names[1]:
        raise InvalidInputError(
            f"expected two edited pictures with an id each, got {len(edited)} and {names}"
        )
    dimension, instruction = row.text("dimension"), row.text("instruction")
    if dimension not in DIMENSIONS:
        raise InvalidInputError(
            f"dimension: expected {', '.join(sorted(DIMENSIONS))}, got {dimension!r}"
        )
    source = row.picture("input_image")
    for picture in edited:
        digest_of(picture)
    return Item(
        id=row.where,
        prompt=key_of(digest_of(source), instruction),
        instruction=instruction,
        sources=(source,),
        # By the picture's id: in the form with paths each row has its own file.
        candidates=tuple(
            Candidate(key_of(name, instruction), name, picture)
            for name, picture in zip(names, edited, strict=True)
        ),
        order=(0, 1),
        labels={"task_type": row.text("task_type"), "dimension": dimension},
    )


def _pair(item: Item, judgements: Judgements) -> _Pair:
    first, second = (judgements.get(candidate.key) for candidate in item.candidates)
    dimension = item.labels["dimension"]
    return _Pair(
        item,
        (_score(first, dimension), _score(second, dimension)),
        (four_scores(first), four_scores(second)),
    )


def _score(judgement: Judgement | None, dimension: str) -> float | None:
    """Our score of an edit on a dimension: soft if the judge has soft ones."""
    if judgement is None or judgement.scores is None:
        return None
    scores = judgement.soft_scores or judgement.scores
    match dimension:
        case "prompt_following":
            return settled(scores.editing_success)
        case "consistency":
            return settled(scores.over_editing)
    return settled(judgement.reward)


def _reference(pairs: Sequence[_Pair], *, with_min: bool = False) -> dict[tuple[str, str], float]:
    """Accuracy by task type and dimension; omits task types without a judged pair."""
    right: dict[tuple[str, str], list[int]] = {}
    for pair in pairs:
        first, second = pair.reference
        if first is None or second is None:
            continue
        better = _published(first, pair.dimension, with_min=with_min)
        worse = _published(second, pair.dimension, with_min=with_min)
        right.setdefault((pair.task_type, pair.dimension), []).append(int(better > worse))
    tasks = {task for task, _ in right}
    return {
        (task, dimension): float(np.mean(right.get((task, dimension), [0])))
        for task in tasks
        for dimension in DIMENSIONS
    }


def _published(scores: FourScores, dimension: str, *, with_min: bool) -> float:
    match dimension:
        case "prompt_following":
            return scores.success
        case "consistency":
            return scores.over_editing
    return scores.lower() if with_min else scores.weighted()


def _average(
    accuracies: Mapping[tuple[str, str], float], dimension: str, tasks: Sequence[str]
) -> float | None:
    known = [accuracies[task, dimension] for task in tasks if (task, dimension) in accuracies]
    return float(np.mean(known)) if known else None


def _metric(
    name: str,
    dimension: str,
    pairs: Sequence[_Pair],
    accuracies: Mapping[tuple[str, str], float],
    tasks: Sequence[str],
) -> Metric:
    chosen = [pair for pair in pairs if pair.dimension == dimension and pair.task_type in tasks]
    ours = _values(chosen, lambda pair: is_higher(*pair.ours), by_task=True)
    return Metric(name, _average(accuracies, dimension, tasks), ours)


def _values(
    pairs: Sequence[_Pair], measure: Callable[[_Pair], bool], *, by_task: bool = False
) -> Values | None:
    if not pairs:
        return None
    return Values(
        tuple(pair.item.prompt for pair in pairs),
        tuple(float(measure(pair)) for pair in pairs),
        tuple(pair.task_type for pair in pairs) if by_task else (),
    )
