"""What an answer of a judge earns in GRPO, reward by reward.

An answer that cannot be read has earned nothing: 0 of every reward that its prompt could have
given, and the consistency judge is not asked about it. A reward that a prompt cannot give, such as
regions in the PQ stream, is None for all of its answers and so decides between none of them.
"""

from collections.abc import Collection, Hashable, Mapping, Sequence
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
from spatialreward.records import MAX_SCORE, Mending, Scores, Streams

_MENDED = 0.5
_LONG_FROM = 0.75
_RUN = 4


class Place(NamedTuple):
    """Where an edit stands in a ranking."""

    ranking: Hashable
    candidate: int
    ranks: tuple[int, ...]
    """Of all candidates; 0 is best, and equal ranks tie."""


class Known(NamedTuple):
    """What is known about the edit that a prompt asks about."""

    stream: Streams
    regions: Sequence[Region] | None = None
    """The label's, or those that pixels propose; None: neither."""
    scores: tuple[float, float] | None = None
    """The label's, of this stream."""
    place: Place | None = None
    """None: it is no candidate of a ranking."""


class ReadAnswer(NamedTuple):
    """An answer, and what could be read of it."""

    text: str
    num_tokens: int
    answer: SemanticAnswer | PerceptualAnswer | None
    """None: it is no answer."""


def read_answer(
    text: str, num_tokens: int, stream: Streams, allowed: Collection[Mending]
) -> ReadAnswer:
    """Read what a judge wrote, as in service."""
    parse = parse_semantic if stream is Streams.SEMANTIC else parse_perceptual
    try:
        return ReadAnswer(text, num_tokens, parse(text, allowed))
    except JudgementError:
        return ReadAnswer(text, num_tokens, None)


def form(read: ReadAnswer) -> float:
    """Whether it reads as it stands, or after mending."""
    if read.answer is None:
        return 0.0
    return _MENDED if read.answer.mended else 1.0


def iou(read: ReadAnswer, known: Known) -> float | None:
    """How well its regions match; None in the PQ stream, and where no regions are known."""
    if known.stream is not Streams.SEMANTIC or known.regions is None:
        return None
    if not isinstance(read.answer, SemanticAnswer):
        return 0.0
    return matched_iou(known.regions, read.answer.edit_region)


def agreement(read: ReadAnswer, known: Known) -> float | None:
    """1 less the mean difference from the known scores, in shares of 25; None without them."""
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
    """Minus the share of runs of four words that stood in the reasoning before.

    Of what cannot be read, all that was written counts.
    """
    words = (read.answer.reasoning if read.answer else read.text).split()
    runs = [tuple(words[start : start + _RUN]) for start in range(len(words) - _RUN + 1)]
    return -(1 - len(set(runs)) / len(runs)) if runs else 0.0


def orders(overall: Sequence[float | None], places: Sequence[Place | None]) -> list[float | None]:
    """For each answer about a ranked edit, how many of the other edits it orders rightly.

    An answer's part of the reward is compared with the mean of those that answers about another
    candidate of the same ranking earned in the same step. It is right when both differ as the ranks
    do; where the ranks tie, when the difference is at most a score of 25. Candidates that have no
    readable answer are not compared with.

    Args:
        overall: of each answer, its stream's part of the reward in 0..1; None: unreadable.
        places: of each answer's edit; None: it is in no ranking.

    Returns:
        A share in 0..1; 0 for what cannot be read; None for edits in no ranking, and where no other
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
    """The stream's part of the reward that an answer's scores come to; None: unreadable."""
    return None if read.answer is None else aggregation.reward(scores_of(read.answer, stream))


def scores_of(answer: SemanticAnswer | PerceptualAnswer, stream: Streams) -> Scores:
    """Scores of one stream as a judgement has them."""
    is_semantic = stream is Streams.SEMANTIC
    return paired_scores(
        answer.score if is_semantic else None, None if is_semantic else answer.score
    )
