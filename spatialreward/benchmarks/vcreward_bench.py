"""VCReward-Bench of GEditBench v2 (arXiv 2603.28547): which of two edits preserved the rest.

Reads ``metadata.jsonl`` with the pictures beside it. The published judges see both edits at once
and name the better one; for a single-edit judge it is the one with the higher score.
"""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple, Self

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
)
from spatialreward.benchmarks.statistics import Values
from spatialreward.errors import InvalidInputError
from spatialreward.records import Judgement

REWARD, CONSISTENCY = "reward", "consistency"
_COLUMNS = ("key", "instruction", "source_image", "edited_images", "winner", "task")
_WINNERS = ("Image A", "Image B")


class _Pair(NamedTuple):
    """One judged item; scores of the better edit first, None without one."""

    item: Item
    rewards: tuple[float | None, float | None]
    consistency: tuple[float | None, float | None]
    """Freedom from over-editing, 0..25."""


class VcRewardBench(NamedTuple):
    """See ``Benchmark``."""

    published: Published
    name: str = "vcreward-bench"
    title: str = "VCReward-Bench (GEditBench v2)"
    rules: str = (
        "the evaluation script of GEditBench v2, of a judge that names the edit with the higher "
        "score: an equal score is wrong, pairs without an answer are left out"
    )

    @classmethod
    def read(cls, folder: Path) -> Self:
        """Read a folder in the published layout.

        Raises:
            InvalidInputError: the layout is unknown, or no row is usable.
        """
        return cls(collect(_rows(folder), _item))

    def score(self, judgements: Judgements) -> list[Metric]:
        """See ``Benchmark``."""
        pairs = [_pair(item, judgements) for item in self.published.items]
        tasks = sorted({pair.item.labels["task"] for pair in pairs})
        return [
            *(_accuracy(name, name, pairs) for name in (CONSISTENCY, REWARD)),
            Metric("ties", None, _values(pairs, lambda pair: is_tie(*map(settled, pair.rewards)))),
            Metric("failed", None, _values(pairs, lambda pair: None in pair.rewards)),
            *(
                _accuracy(
                    f"{name}/{task}", name, [p for p in pairs if p.item.labels["task"] == task]
                )
                for name in (CONSISTENCY, REWARD)
                for task in tasks
            ),
        ]


def _rows(folder: Path) -> Iterator[Row | LeftOut]:
    for path in files_in(folder, "metadata.jsonl"):
        yield from json_rows(path, _COLUMNS, json_lines)


def _item(row: Row) -> Item:
    name, instruction = row.text("key"), row.text("instruction")
    edited, winner = row.pictures("edited_images"), row.text("winner")
    if len(edited) != 2:
        raise InvalidInputError(f"{name}: expected two edited pictures, got {len(edited)}")
    if winner not in _WINNERS:
        raise InvalidInputError(f"{name}: winner: expected {' or '.join(_WINNERS)}, got {winner!r}")
    source, better = row.picture("source_image"), _WINNERS.index(winner)
    prompt = key_of(digest_of(source), instruction)
    return Item(
        id=name,
        prompt=prompt,
        instruction=instruction,
        sources=(source,),
        candidates=tuple(
            Candidate(key_of(prompt, digest_of(picture)), side, picture)
            for side, picture in zip("AB", edited, strict=True)
        ),
        order=(better, 1 - better),
        labels={"task": row.text("task")},
    )


def _pair(item: Item, judgements: Judgements) -> _Pair:
    judged = [judgements.get(item.candidates[place].key) for place in item.order]
    first, second = (_rewards(one) for one in judged)
    kept = tuple(_kept(one) for one in judged)
    return _Pair(item, (first, second), (kept[0], kept[1]))


def _rewards(judgement: Judgement | None) -> float | None:
    return None if judgement is None else judgement.reward


def _kept(judgement: Judgement | None) -> float | None:
    if judgement is None or judgement.scores is None:
        return None
    return (judgement.soft_scores or judgement.scores).over_editing


def _accuracy(name: str, of: str, pairs: Sequence[_Pair]) -> Metric:
    scored = [pair.consistency if of == CONSISTENCY else pair.rewards for pair in pairs]
    answered = [one for one in scored if None not in one]
    right = sum(is_higher(*one) for one in answered)
    values = tuple(float(is_higher(*map(settled, one))) for one in scored)
    prompts = tuple(pair.item.prompt for pair in pairs)
    return Metric(name, right / len(answered) if answered else None, Values(prompts, values))


def _values(pairs: Sequence[_Pair], measure: Callable[[_Pair], bool]) -> Values:
    return Values(
        tuple(pair.item.prompt for pair in pairs), tuple(float(measure(pair)) for pair in pairs)
    )
