"""Rewards of a judge's answer in GRPO.

An unreadable answer gets 0 for every reward that its prompt supports, without a request to the
consistency judge. A reward that a prompt does not support, such as regions in the PQ stream, is
None for all of its answers and so does not affect their advantages.
"""

from collections.abc import Hashable, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from spatialreward.data.regions.overlap import Region, matched_iou
from spatialreward.errors import JudgementError
from spatialreward.judges.reading import paired_scores
from spatialreward.protocol.aggregation import Aggregation
from spatialreward.protocol.parsing import (
    PerceptualAnswer,
    SemanticAnswer,
    parse_perceptual,
    parse_semantic,
)
from spatialreward.protocol.prompts import Protocol
from spatialreward.records import MAX_SCORE, Scores, Streams

_MENDED = 0.5
_LONG_FROM = 0.75
_RUN = 4


class Place(NamedTuple):
    """An edit's place in a ranking."""

    ranking: Hashable
    candidate: int
    ranks: tuple[int, ...]
    """Of all candidates; 0 is best, and equal ranks tie."""


class Known(NamedTuple):
    """Labels of a prompt's edit."""

    stream: Streams
    regions: Sequence[Region] | None = None
    """The label's, or those that pixels propose; None: neither."""
    scores: tuple[float, float] | None = None
    """The label's, of this stream."""
    place: Place | None = None
    """None: not a candidate of a ranking."""


class ReadAnswer(NamedTuple):
    """A parsed answer."""

    text: str
    num_tokens: int
    answer: SemanticAnswer | PerceptualAnswer | None
    """None: unreadable."""


def read_answer(text: str, num_tokens: int, stream: Streams, protocol: Protocol) -> ReadAnswer:
    """Parse an answer, as in serving."""
    parse = parse_semantic if stream is Streams.SEMANTIC else parse_perceptual
    try:
        return ReadAnswer(text, num_tokens, parse(text, protocol.mendings, protocol.answer))
    except JudgementError:
        return ReadAnswer(text, num_tokens, None)


def form(read: ReadAnswer) -> float:
    """1 without repair, 0.5 after repair, else 0."""
    if read.answer is None:
        return 0.0
    return _MENDED if read.answer.mended else 1.0


def iou(read: ReadAnswer, known: Known) -> float | None:
    """Match of its regions; None in the PQ stream, and without known regions."""
    if known.stream is not Streams.SEMANTIC or known.regions is None:
        return None
    if not isinstance(read.answer, SemanticAnswer):
        return 0.0
    return matched_iou(known.regions, read.answer.edit_region)


def agreement(read: ReadAnswer, known: Known) -> float | None:
    """1 - mean difference from the known scores, in shares of 25; None without them."""
    if known.scores is None:
        return None
    if read.answer is None:
        return 0.0
    differences = np.abs(np.subtract(read.answer.score, known.scores))
    return float(1 - differences.mean() / MAX_SCORE)


def length(read: ReadAnswer, longest: int) -> float:
    """0 up to three quarters of the longest answer, then falling to -1 at the longest."""
    over = read.num_tokens / longest - _LONG_FROM
    return -min(1.0, max(0.0, over / (1 - _LONG_FROM)))


def repetition(read: ReadAnswer) -> float:
    """Minus the share of four-word sequences that repeat earlier ones of the reasoning.

    For an unreadable answer, the whole text counts.
    """
    words = (read.answer.reasoning if read.answer else read.text).split()
    runs = [tuple(words[start : start + _RUN]) for start in range(len(words) - _RUN + 1)]
    return -(1 - len(set(runs)) / len(runs)) if runs else 0.0


def orders(overall: Sequence[float | None], places: Sequence[Place | None]) -> list[float | None]:
    """For each answer about a ranked edit, the share of other edits in the correct order.

    Compares an answer's part of the reward with the mean over the answers about another candidate
    of the same ranking in the same step. It is correct if both differ as the ranks do; for tied
    ranks, if the difference is at most a score of 25. Skips candidates without a readable answer.

    Args:
        overall: of each answer, its stream's part of the reward in 0..1; None: unreadable.
        places: of each answer's edit; None: not in a ranking.

    Returns:
        A share in 0..1; 0 for unreadable answers; None for edits outside rankings, and if no other
        candidate has a readable answer.
    """
    sums: dict[tuple[Hashable, int], list[float]] = {}
    for value, place in zip(overall, places, strict=True):
        if value is not None and place is not None:
            sums.setdefault((place.ranking, place.candidate), []).append(value)
    means = {candidate: float(np.mean(values)) for candidate, values in sums.items()}
    return [_order(value, place, means) for value, place in zip(overall, places, strict=True)]


def _order(
    value: float | None, place: Place | None, means: Mapping[tuple[Hashable, int], float]
) -> float | None:
    if place is None:
        return None
    others = [
        (rank, means[place.ranking, number])
        for number, rank in enumerate(place.ranks)
        if number != place.candidate and (place.ranking, number) in means
    ]
    if not others:
        return None
    if value is None:
        return 0.0
    own = place.ranks[place.candidate]
    return float(np.mean([_is_right(own, value, rank, mean) for rank, mean in others]))


def _is_right(rank: int, value: float, other_rank: int, other: float) -> bool:
    if rank == other_rank:
        return abs(value - other) <= 1 / MAX_SCORE
    return value > other if rank < other_rank else value < other


def overall(read: ReadAnswer, stream: Streams, aggregation: Aggregation) -> float | None:
    """The stream's part of the reward for an answer's scores; None: unreadable."""
    return None if read.answer is None else aggregation.reward(scores_of(read.answer, stream))


def scores_of(answer: SemanticAnswer | PerceptualAnswer, stream: Streams) -> Scores:
    """Scores of one stream, in a judgement's form."""
    is_semantic = stream is Streams.SEMANTIC
    return paired_scores(
        answer.score if is_semantic else None, None if is_semantic else answer.score
    )
