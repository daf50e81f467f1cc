"""Multimodal RewardBench 2 (MMRB2), image editing: pairs of edits, with one or more sources.

Reads the Parquet files of the hub (config ``edit``, split ``test``) and the built form, which is
``edit.json`` with pictures beside it. The texts of a prompt are joined by spaces, its pictures are
the sources in order; of an answer with several pictures the first is judged.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Self

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
    json_rows,
    key_of,
    table_rows,
)
from spatialreward.benchmarks.reference import four_scores
from spatialreward.benchmarks.statistics import Values
from spatialreward.errors import InvalidInputError
from spatialreward.reading import parse_json

TIE = "tie"
_SIDES = ("A", "B")
_SHOWN = ("prompt", "response_a", "response_b")
_PLACEHOLDER = re.compile(r"<image_\d+>")
_HUB_COLUMNS = (
    *("pair_id", "prompt_text", "prompt_images", "response_a_images", "response_b_images"),
    *("chosen", "prompt_source"),
)
_BUILT_COLUMNS = ("id", "prompt_content", "response_a", "response_b", "chosen", "prompt_source")

Answer = Mapping[str, Sequence[Mapping[str, Any]]]
"""For a pair: ``forward`` and ``reverse``, each a list whose first element has a ``judgement``."""


class _Pair(NamedTuple):
    """One judged row."""

    item: Item
    ours: tuple[float | None, float | None]
    """Rewards of the better and of the worse edit."""
    said: str | None
    """A, B or a tie, by the weighted form of the written scores; None: not judged."""

    @property
    def chosen(self) -> str:
        return _SIDES[self.item.order[0]]

    @property
    def is_right(self) -> bool:
        return self.said == self.chosen


class Mmrb2(NamedTuple):
    """See ``Benchmark``."""

    published: Published
    name: str = "mmrb2"
    title: str = "Multimodal RewardBench 2, image editing"
    rules: str = (
        "the evaluation script of SpatialReward: weighted form of the written scores, failed "
        "answers are 12.5, a tie is wrong, pairs that were not judged are left out; "
        "accuracy_official is MMRB2's own script, both orders of a pair as trials, failed left out"
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
        chosen = {pair.item.id: pair.chosen for pair in pairs}
        metrics = [
            _accuracy("accuracy", pairs),
            Metric("accuracy_official", official_accuracy(chosen, _answers(pairs)), None),
            Metric("ties", None, _values(pairs, lambda pair: is_tie(*pair.ours))),
            Metric("failed", None, _values(pairs, lambda pair: None in pair.ours)),
        ]
        for label in ("pictures", "num_pictures", "source"):
            for part in sorted({pair.item.labels[label] for pair in pairs}):
                of_part = [pair for pair in pairs if pair.item.labels[label] == part]
                metrics.append(_accuracy(f"accuracy/{part}", of_part))
        return metrics


def official_accuracy(chosen: Mapping[str, str], answers: Mapping[str, Answer]) -> float:
    """MMRB2's own accuracy: right judgements over judgements, with both orders as separate trials.

    Only the first judgement of an order counts. An order without one leaves the denominator, and
    anything but A and B is wrong; 0 without any judgement.

    Args:
        chosen: A or B, by the pair's id.
        answers: by the pair's id; in ``reverse`` the sides are swapped.
    """
    swapped = dict(zip(_SIDES, reversed(_SIDES), strict=True))
    right = total = 0
    for pair, side in chosen.items():
        for order in ("forward", "reverse"):
            given = answers.get(pair, {}).get(order) or [{}]
            if said := given[0].get("judgement"):
                total += 1
                right += (swapped.get(said, said) if order == "reverse" else said) == side
    return right / total if total else 0.0


def _rows(folder: Path) -> Iterator[Row | LeftOut]:
    patterns = ("edit/test-*.parquet", "test-*.parquet", "edit.json")
    for path in files_in(folder, *patterns):
        if path.suffix == ".json":
            yield from json_rows(path, _BUILT_COLUMNS, _pairs_of)
        else:
            yield from table_rows([path], _HUB_COLUMNS)


def _pairs_of(text: str) -> Any:
    found = parse_json(text)
    if not isinstance(found, dict) or "pairs" not in found:
        raise InvalidInputError("another version? expected an object with pairs")
    return found["pairs"]


def _item(row: Row) -> Item:
    chosen = row.text("chosen").strip().upper()
    if chosen not in _SIDES:
        raise InvalidInputError(f"chosen: expected A or B, got {chosen!r}")
    if row.table is None:
        name, answers = row.text("id"), []
        texts, sources = _parts(row, row.fields["prompt_content"], "prompt_content")
        for field in ("response_a", "response_b"):
            answer = row.fields[field]
            content = answer.get("response_content") if isinstance(answer, dict) else None
            answers.append(_parts(row, content, f"{field}.response_content")[1])
    else:
        name, sources = row.text("pair_id"), row.pictures("prompt_images")
        texts = [one.strip() for one in _PLACEHOLDER.split(row.text("prompt_text"))]
        answers = [row.pictures(f"response_{side}_images") for side in ("a", "b")]
    for field, pictures in zip(_SHOWN, (sources, *answers), strict=True):
        if not pictures:
            raise InvalidInputError(f"{name}: {field}: has no picture")
    instruction = " ".join(filter(None, texts))
    prompt = key_of(*map(digest_of, sources), instruction)
    better = _SIDES.index(chosen)
    return Item(
        id=name,
        prompt=prompt,
        instruction=instruction,
        sources=tuple(sources),
        candidates=tuple(
            Candidate(key_of(prompt, digest_of(pictures[0])), side, pictures[0])
            for side, pictures in zip(_SIDES, answers, strict=True)
        ),
        order=(better, 1 - better),
        labels={
            "pictures": "single" if len(sources) == 1 else "multi",
            "num_pictures": f"inputs_{len(sources)}",
            "source": row.text("prompt_source"),
        },
    )


def _parts(row: Row, content: Any, field: str) -> tuple[list[str], list[Picture]]:
    """Texts and pictures of a list of ``[kind, value]``."""
    if not isinstance(content, list):
        raise InvalidInputError(f"{field}: expected a list, got {type(content).__name__}")
    texts, pictures = [], []
    for place, part in enumerate(content):
        match part:
            case ["text", str(text)]:
                texts.append(text.strip())
            case ["image", path]:
                pictures.append(row.file(path, f"{field}[{place}]"))
            case _:
                raise InvalidInputError(f"{field}[{place}]: expected [kind, value], got {part!r}")
    return texts, pictures


def _pair(item: Item, judgements: Judgements) -> _Pair:
    judged = [judgements.get(candidate.key) for candidate in item.candidates]
    rewards = [settled(one and one.reward) for one in judged]
    first, second = (four_scores(one) for one in judged)
    said = None
    if first is not None and second is not None:
        a, b = first.weighted(), second.weighted()
        said = "A" if a > b else "B" if b > a else TIE
    better, worse = item.order
    return _Pair(item, (rewards[better], rewards[worse]), said)


def _answers(pairs: Sequence[_Pair]) -> dict[str, Answer]:
    """The answers of a single-edit judge, in the official script's format."""
    other = {"A": "B", "B": "A", TIE: TIE}
    return {
        pair.item.id: {
            "forward": [{"judgement": _unless_failed(pair, pair.said)}],
            "reverse": [{"judgement": _unless_failed(pair, other.get(pair.said or ""))}],
        }
        for pair in pairs
    }


def _unless_failed(pair: _Pair, said: str | None) -> str | None:
    return None if None in pair.ours else said


def _accuracy(name: str, pairs: Sequence[_Pair]) -> Metric:
    judged = [pair for pair in pairs if pair.said is not None]
    reference = sum(pair.is_right for pair in judged) / len(judged) if judged else None
    return Metric(name, reference, _values(pairs, lambda pair: is_higher(*pair.ours)))


def _values(pairs: Sequence[_Pair], measure: Callable[[_Pair], bool]) -> Values:
    return Values(
        tuple(pair.item.prompt for pair in pairs), tuple(float(measure(pair)) for pair in pairs)
    )
