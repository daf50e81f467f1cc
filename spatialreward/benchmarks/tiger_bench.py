"""EditReward-Bench as TIGER-Lab published it: groups of two to four edits, ordered by people.

Not the benchmark of the same name by EditScore, whose figures do not compare. Reads the Parquet
files of the hub (``2pair/``, ``3pair/`` and ``4pair/``), in which a row is one comparison: a group
consists of all comparisons of its edits. A pair may be a tie, larger groups have none.
"""

import itertools
from collections import defaultdict
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
    Picture,
    Published,
)
from spatialreward.benchmarks.orders import is_higher, is_tie, settled
from spatialreward.benchmarks.published import (
    Row,
    collect,
    digest_of,
    files_in,
    key_of,
    table_rows,
)
from spatialreward.benchmarks.statistics import Values
from spatialreward.errors import InvalidInputError
from spatialreward.records import Judgement

TIE = "A=B"
_TEXTS = ("id", "dataset", "instruction", "ranking", "comparison_type")
_COLUMNS = (*_TEXTS, "source_image", "candidate_1", "candidate_2")
_SIZES: Mapping[str, int] = {"2pair": 2, "3pair": 3, "4pair": 4}
_LETTERS = "ABCD"


class _Comparison(NamedTuple):
    """One row of the hub."""

    row: Row
    size: int
    pictures: Mapping[str, Picture]
    """By the letter of the candidate."""
    ranking: str


class _Group(NamedTuple):
    """One judged item."""

    item: Item
    rewards: tuple[float | None, ...]
    """In the order of the candidates; None without a judgement."""

    @property
    def kind(self) -> str:
        return self.item.labels["dataset"]

    @property
    def is_tied(self) -> bool:
        return self.item.labels["is_tie"] == "yes"

    @property
    def pairs(self) -> list[tuple[int, float]]:
        """People's preference for each two edits (1, -1, 0), and the judge's margin for the first.

        Only for a fully judged group.
        """
        places = self.item.order
        return [
            (
                0 if self.is_tied else 1 if places.index(i) < places.index(j) else -1,
                self.rewards[i] - self.rewards[j],
            )
            for i, j in itertools.combinations(range(len(places)), 2)
        ]


class TigerBench(NamedTuple):
    """See ``Benchmark``."""

    published: Published
    name: str = "tiger-editreward-bench"
    title: str = "EditReward-Bench (TIGER-Lab's, not EditScore's)"
    rules: str = (
        "the evaluation script of EditReward, on rewards: a pair is a tie within the threshold "
        "that suits the labels best, equal scores rank the later edit of a larger group first, "
        "groups that were not judged in full are left out"
    )

    @classmethod
    def read(cls, folder: Path) -> Self:
        """Read a folder in the published layout.

        Raises:
            InvalidInputError: the layout is unknown, or no group is usable.
        """
        return cls(collect(_groups(folder), _item))

    def score(self, judgements: Judgements) -> list[Metric]:
        """See ``Benchmark``."""
        groups = [_group(item, judgements) for item in self.published.items]
        by_kind = {kind: [one for one in groups if one.kind == kind] for kind in _SIZES}
        strict = {kind: _strict(kind, known(found)) for kind, found in by_kind.items()}
        right = [one for found in strict.values() for one in found]
        metrics = [
            _metric("strict", float(np.mean(right)) if right else None, groups, _is_strict),
            Metric("pairs", _best_with_ties(known(groups))[0], None),
        ]
        for kind, found in by_kind.items():
            if not found:
                continue
            reference = float(np.mean(strict[kind])) if strict[kind] else None
            metrics += [
                _metric(f"strict/{kind}", reference, found, _is_strict),
                Metric(f"pairs/{kind}", _pair_accuracy(kind, known(found)), None),
            ]
        return [
            *metrics,
            Metric("ties", None, _values(groups, _has_tie)),
            Metric("failed", None, _values(groups, lambda one: None in one.rewards)),
        ]


def known(groups: Sequence[_Group]) -> list[_Group]:
    """The fully judged groups."""
    return [one for one in groups if None not in one.rewards]


def _groups(folder: Path) -> Iterator["Row | LeftOut"]:
    """One row per group, with all its comparisons in ``comparisons``."""
    compared: dict[str, list[Row]] = defaultdict(list)
    for path in files_in(folder, "[234]pair/*.parquet", "*.parquet"):
        for row in table_rows([path], _COLUMNS):
            if isinstance(row, LeftOut):
                yield row
                continue
            # Without the pictures, which would fill the memory.
            texts = row._replace(fields={name: row.fields[name] for name in _TEXTS})
            try:
                compared[_group_of(texts)].append(texts)
            except InvalidInputError as error:
                yield LeftOut(row.where, str(error))
    for name, rows in compared.items():
        yield rows[0]._replace(fields={"comparisons": rows, "group": name})


def _group_of(row: Row) -> str:
    """The name of a row's group: the start of its id, as in the published scripts."""
    kind, name = row.text("dataset"), row.text("id")
    return f"{kind}/{name if kind == '2pair' else name.partition('_')[0]}"


def _item(row: Row) -> Item:
    compared = [_comparison(one) for one in row.fields["comparisons"]]
    size, name = compared[0].size, row.fields["group"]
    expected = size * (size - 1) // 2
    if len(compared) != expected:
        raise InvalidInputError(f"{name}: expected {expected} comparisons, got {len(compared)}")
    pictures: dict[str, Picture] = {}
    for one in compared:
        for letter, picture in one.pictures.items():
            if letter in pictures and digest_of(pictures[letter]) != digest_of(picture):
                raise InvalidInputError(f"{name}: candidate {letter} is another one in two rows")
            pictures.setdefault(letter, picture)
    letters = _LETTERS[:size]
    if set(pictures) != set(letters):
        raise InvalidInputError(f"{name}: expected candidates {letters}, got {sorted(pictures)}")
    first = compared[0].row
    instruction, source = first.text("instruction"), first.picture("source_image")
    prompt = key_of(digest_of(source), instruction)
    is_tie = [one.ranking for one in compared] == [TIE]
    return Item(
        id=name,
        prompt=prompt,
        instruction=instruction,
        sources=(source,),
        candidates=tuple(
            Candidate(key_of(prompt, digest_of(pictures[one])), one, pictures[one])
            for one in letters
        ),
        order=tuple(range(size)) if is_tie else _order(name, letters, compared),
        labels={"dataset": f"{size}pair", "is_tie": "yes" if is_tie else "no"},
    )


def _comparison(row: Row) -> _Comparison:
    kind, pair = row.text("dataset"), row.text("comparison_type")
    if kind not in _SIZES:
        raise InvalidInputError(f"dataset: expected one of {', '.join(_SIZES)}, got {kind!r}")
    first, between, second = pair.partition("vs")
    if not between or len(first) != 1 or len(second) != 1 or first == second:
        raise InvalidInputError(f"comparison_type: expected such as AvsB, got {pair!r}"[:200])
    ranking = row.text("ranking")
    allowed = [f"{first}>{second}", f"{second}>{first}", *([TIE] if kind == "2pair" else [])]
    if ranking not in allowed:
        raise InvalidInputError(f"ranking: expected one of {allowed}, got {ranking!r}"[:200])
    pictures = {first: row.picture("candidate_1"), second: row.picture("candidate_2")}
    return _Comparison(row, _SIZES[kind], pictures, ranking)


def _order(name: str, letters: str, compared: Sequence[_Comparison]) -> tuple[int, ...]:
    """Best first; the comparisons of a group must agree on one order."""
    wins = {letter: sum(one.ranking[0] == letter for one in compared) for letter in letters}
    order = sorted(letters, key=lambda letter: wins[letter], reverse=True)
    if sorted(wins.values()) != list(range(len(letters))):
        raise InvalidInputError(f"{name}: the comparisons make no order: wins are {wins}")
    return tuple(letters.index(letter) for letter in order)


def _group(item: Item, judgements: Judgements) -> _Group:
    judged = [judgements.get(candidate.key) for candidate in item.candidates]
    return _Group(item, tuple(map(_reward, judged)))


def _reward(judgement: Judgement | None) -> float | None:
    return None if judgement is None else judgement.reward


def _strict(kind: str, groups: Sequence[_Group]) -> list[bool]:
    """Whether each group is ranked as people rank it, by the published arithmetic."""
    threshold = _best_with_ties(groups)[1] if kind == "2pair" else 0.0
    return [
        abs(one.rewards[0] - one.rewards[1]) <= threshold
        if one.is_tied
        else tuple(np.argsort(one.rewards)[::-1].tolist()) == one.item.order
        for one in groups
    ]


def _pair_accuracy(kind: str, groups: Sequence[_Group]) -> float | None:
    if not groups:
        return None
    if kind == "2pair":
        return _best_with_ties(groups)[0]
    pairs = [pair for one in groups for pair in one.pairs]
    return sum(margin * preferred > 0 for margin, preferred in pairs) / len(pairs)


def _best_with_ties(groups: Sequence[_Group]) -> tuple[float | None, float]:
    """The best accuracy over thresholds of ties, and the lowest such threshold.

    The threshold is fitted on the same labels.
    """
    pairs = [pair for one in groups for pair in one.pairs]
    if not pairs:
        return None, 0.0
    best = (-1.0, 0.0)
    for threshold in [0.0, *sorted({abs(preferred) for _, preferred in pairs})]:
        right = sum(
            margin == 0 if abs(preferred) <= threshold else margin * preferred > 0
            for margin, preferred in pairs
        )
        best = max(best, (right / len(pairs), threshold), key=lambda one: one[0])
    return best


def _is_strict(group: _Group) -> bool:
    """Whether the rewards are in the true order; people's ties are ties to nine digits."""
    rewards = [settled(group.rewards[place]) for place in group.item.order]
    if group.is_tied:
        return is_tie(*rewards)
    return all(map(is_higher, rewards, rewards[1:]))


def _has_tie(group: _Group) -> bool:
    judged = [settled(one) for one in group.rewards if one is not None]
    return len(set(judged)) < len(judged)


def _metric(
    name: str,
    reference: float | None,
    groups: Sequence[_Group],
    measure: Callable[[_Group], bool],
) -> Metric:
    return Metric(name, reference, _values(groups, measure))


def _values(groups: Sequence[_Group], measure: Callable[[_Group], bool]) -> Values | None:
    if not groups:
        return None
    return Values(
        tuple(one.item.prompt for one in groups), tuple(float(measure(one)) for one in groups)
    )
