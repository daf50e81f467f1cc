"""MER-Bench (MultiEditReward-Bench): groups of two to four edits of one task, best first.

Reads the Parquet files of the hub (``data/2pair-*.parquet`` and so on) and the older folder of
``2pair.json``, ``3pair.json`` and ``4pair.json`` with pictures beside them. The order of a group is
the truth in both; the older form's ``quality`` is ignored.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple, Self

import numpy as np

from spatialreward.benchmarks import orders
from spatialreward.benchmarks.interface import (
    Candidate,
    Item,
    Judgements,
    LeftOut,
    Metric,
    Published,
)
from spatialreward.benchmarks.published import (
    Row,
    collect,
    digest_of,
    files_in,
    json_rows,
    key_of,
    table_rows,
)
from spatialreward.benchmarks.reference import (
    ERROR_TYPES,
    OrderMetrics,
    four_scores,
    order_metrics,
    predicted_order,
)
from spatialreward.benchmarks.statistics import Values
from spatialreward.errors import InvalidInputError
from spatialreward.reading import parse_json

_COLUMNS = ("pair_id", "label", "instruction", "original_image", "edited_images")
_SIZES = range(2, 5)
_SIZE = re.compile(r"([234])pair")
_MEASURES: dict[str, Callable[[Sequence[float | None]], float]] = {
    "exact": orders.exact,
    "kendall": lambda scores: orders.expected(orders.tau, scores),
    "spearman": lambda scores: orders.expected(orders.spearman, scores),
    "ndcg": lambda scores: orders.expected(orders.ndcg, scores),
    "top1": lambda scores: orders.expected(orders.top1, scores),
    "top2": lambda scores: orders.expected(orders.top2, scores),
    "position_error": lambda scores: orders.expected(orders.position_error, scores, max),
}
"""Our metrics on the scores of one group, best edit first."""
_BY_FIELD = {
    "pair_type": ("exact", "kendall", "ndcg"),
    "label": ("exact", "kendall", "ndcg", "top1"),
}
"""Those with a breakdown by label, as in the published script."""


class _Group(NamedTuple):
    """One judged item."""

    item: Item
    scores: tuple[float | None, ...]
    """Rewards, best candidate first; None without a judgement."""
    reference: OrderMetrics | None
    """None if an edit is missing."""


class MerBench(NamedTuple):
    """See ``Benchmark``."""

    published: Published
    name: str = "mer-bench"
    title: str = "MER-Bench (MultiEditReward-Bench)"
    rules: str = (
        "the evaluation script of SpatialReward: weighted form of the written scores, failed "
        "answers are 12.5, equal scores stay in the true order, NDCG of the inverse order"
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
        groups = [_group(item, judgements) for item in self.published.items]
        return [
            *_overall(groups),
            *(one for field in _BY_FIELD for one in _by(field, groups)),
            *_error_types(groups),
        ]


def _rows(folder: Path) -> Iterator[Row | LeftOut]:
    names = ("[234]pair-*.parquet", "[234]pair.json")
    patterns = (f"data/{names[0]}", *names)
    for path in files_in(folder, *patterns):
        if path.suffix == ".json":
            yield from json_rows(path, _COLUMNS, parse_json)
        else:
            yield from table_rows([path], _COLUMNS)


def _item(row: Row) -> Item:
    pair_id, instruction = row.text("pair_id"), row.text("instruction")
    source = row.picture("original_image")
    if row.table is None:
        named = [
            one.get("edited_image") if isinstance(one, dict) else one
            for one in row.fields["edited_images"] or ()
        ]
        edited = [row.file(one, f"edited_images[{place}]") for place, one in enumerate(named)]
    else:
        edited = row.pictures("edited_images")
    if len(edited) not in _SIZES:
        raise InvalidInputError(f"{pair_id}: expected 2 to 4 edited pictures, got {len(edited)}")
    size = _SIZE.search(pair_id)
    prompt = key_of(digest_of(source), instruction)
    return Item(
        id=pair_id,
        prompt=prompt,
        instruction=instruction,
        sources=(source,),
        candidates=tuple(
            Candidate(key_of(prompt, digest_of(picture)), str(place), picture)
            for place, picture in enumerate(edited)
        ),
        order=tuple(range(len(edited))),
        labels={
            "pair_type": f"{size[1] if size else len(edited)}pair",
            "label": row.fields["label"] if isinstance(row.fields["label"], str) else "",
        },
    )


def _group(item: Item, judgements: Judgements) -> _Group:
    judged = [judgements.get(candidate.key) for candidate in item.candidates]
    four = [four_scores(one) for one in judged]
    reference = None
    if None not in four:
        weighted = [one.weighted() for one in four]
        reference = order_metrics(predicted_order(weighted), weighted)
    rewards = tuple(orders.settled(one and one.reward) for one in judged)
    return _Group(item, rewards, reference)


def _overall(groups: Sequence[_Group]) -> Iterator[Metric]:
    known = [one.reference for one in groups if one.reference is not None]
    large = [one for one in groups if len(one.scores) > 2]
    for name, measure in _MEASURES.items():
        reference = float(np.mean([getattr(one, name) for one in known])) if known else None
        # In a group of two, the first two are always both.
        yield Metric(name, reference, _values(large if name == "top2" else groups, measure))
    yield Metric("ties", None, _values(groups, _has_tie))
    yield Metric("failed", None, _values(groups, lambda scores: float(None in scores)))


def _by(field: str, groups: Sequence[_Group]) -> Iterator[Metric]:
    """By label; the published script sums and divides here."""
    for part in sorted({one.item.labels[field] for one in groups} - {""}):
        chosen = [one for one in groups if one.item.labels[field] == part]
        known = [one.reference for one in chosen if one.reference is not None]
        for name in _BY_FIELD[field]:
            total = sum(getattr(one, name) for one in known)
            reference = float(total / len(known)) if known else None
            yield Metric(f"{name}/{part}", reference, _values(chosen, _MEASURES[name]))


def _error_types(groups: Sequence[_Group]) -> Iterator[Metric]:
    """Number of groups by the first matching kind of error."""
    found = [one.reference.error_type for one in groups if one.reference is not None]
    for kind in ERROR_TYPES:
        if count := found.count(kind):
            yield Metric(f"error_type/{kind}", float(count), None)


def _has_tie(scores: Sequence[float | None]) -> float:
    judged = [score for score in scores if score is not None]
    return float(len(set(judged)) < len(judged))


def _values(
    groups: Sequence[_Group], measure: Callable[[Sequence[float | None]], float]
) -> Values | None:
    if not groups:
        return None
    return Values(
        tuple(one.item.prompt for one in groups), tuple(measure(one.scores) for one in groups)
    )
