"""Minutes of mixed load from several clients: checks that every answer arrives and is correct."""

import random
import threading
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import NamedTuple

from serving.bench.triton import Served, server_memory_bytes
from serving.bench.workload import Group
from spatialreward.client import ServingError, TritonJudge
from spatialreward.edits import Edit
from spatialreward.figures import Figure
from spatialreward.judges.engines.engine import Judge
from spatialreward.progress import track
from spatialreward.records import Judgement, JudgingOptions, ScoreKind, Streams

_MOST_EDITS = 24
_SAME_SCORE = 0.05
"""Tolerance of scores, of 25: sums are rounded differently in other batches."""
_SETTLED = 0.2
"""Share of the time after which memory counts: every size of batch has occurred by then."""
_OPTIONS = (
    JudgingOptions(),
    JudgingOptions(scores=ScoreKind.HARD),
    JudgingOptions(streams=Streams.SEMANTIC),
    JudgingOptions(streams=Streams.PERCEPTUAL),
    JudgingOptions(priority=5),
)


class Expected(NamedTuple):
    """One edit with the same judge's in-process judgement."""

    edit: Edit
    judgement: Judgement


class Load:
    """Counts results; shared by the clients' threads."""

    def __init__(self) -> None:
        """Start empty."""
        self.counts: Counter[str] = Counter()
        self.errors: Counter[str] = Counter()
        self._lock = threading.Lock()

    def answered(self, asked: Sequence[Expected], answers: Sequence[Judgement]) -> None:
        """Compare a call's answers with the expected ones."""
        counts = Counter(asked=len(asked), lost=max(0, len(asked) - len(answers)), calls=1)
        for one, answer in zip(asked, answers, strict=False):
            if _agree(one.judgement, answer):
                counts["right"] += 1
            elif any(_agree(other.judgement, answer) for other in asked):
                counts["misordered"] += 1
            else:
                counts["otherwise"] += 1
        with self._lock:
            self.counts += counts

    def failed(self, asked: Sequence[Expected], error: ServingError) -> None:
        """Count a call that ended in an error."""
        with self._lock:
            self.counts += Counter(asked=len(asked), lost=len(asked), calls=1)
            self.errors[f"{type(error).__name__}: {error}"] += 1


def expected_answers(judge: Path, work: Sequence[Group], *, seed: int) -> list[Expected]:
    """A pool of edits with options of all kinds, each with its judgement."""
    rng = random.Random(seed)
    edits = [replace(edit, options=rng.choice(_OPTIONS)) for edit in chain.from_iterable(work)]
    return [Expected(*pair) for pair in zip(edits, Judge.load(judge).judge(edits), strict=True)]


def mixed_load(
    served: Served, pool: Sequence[Expected], *, clients: int, seconds: float, seed: int
) -> list[Figure]:
    """Request edits of the pool in calls of 1 to 24, from clients that never pause.

    Returns:
        Figures; ``load/otherwise`` counts answers that are neither the edit's own nor another's of
        its call: a sum was rounded differently, which changed one token.
    """
    load = Load()
    until = time.monotonic() + seconds
    threads = [
        threading.Thread(target=_client, args=(served, pool, load, until, seed + number))
        for number in range(clients)
    ]
    for thread in threads:
        thread.start()
    memory = _watch_memory(until, seconds)
    for thread in threads:
        thread.join()
    settled = memory[int(len(memory) * _SETTLED) :]
    quarter = max(1, len(settled) // 4)
    first, last = (sum(part) / len(part) for part in (settled[:quarter], settled[-quarter:]))
    for error, count in load.errors.most_common(5):
        print_error(error, count)
    return [
        Figure(name="load/minutes", value=seconds / 60, unit="min"),
        Figure(name="load/judgements", value=load.counts["asked"]),
        Figure(name="load/judgements_per_s", value=load.counts["asked"] / seconds, unit="1/s"),
        Figure.at_most("load/lost", load.counts["lost"], 0),
        Figure.at_most("load/misordered", load.counts["misordered"], 0),
        Figure(name="load/otherwise", value=load.counts["otherwise"]),
        Figure(name="load/memory_mb", value=last / 1e6, unit="MB", baseline=first / 1e6),
        Figure.at_most("load/memory_growth", last / first - 1, 0.05),
    ]


def print_error(error: str, count: int) -> None:
    """Print an error, with its count."""
    from rich.console import Console

    Console(stderr=True, highlight=False).print(f"{count} x {error}", markup=False)


def _client(served: Served, pool: Sequence[Expected], load: Load, until: float, seed: int) -> None:
    rng = random.Random(seed)
    with TritonJudge(served.endpoint, edits_per_request=16) as judge:
        while time.monotonic() < until:
            start = rng.randrange(len(pool))
            count = rng.randint(1, _MOST_EDITS)
            asked = [pool[(start + number) % len(pool)] for number in range(count)]
            if rng.random() < 0.3:
                rng.shuffle(asked)
            try:
                load.answered(asked, judge.judge([one.edit for one in asked]))
            except ServingError as error:
                load.failed(asked, error)


def _watch_memory(until: float, seconds: float) -> list[float]:
    samples = max(8, round(seconds))
    seen = []
    for _ in track(range(samples), total=samples, description="mixed load"):
        seen.append(float(server_memory_bytes()))
        time.sleep(max(0.0, min(seconds / samples, until - time.monotonic())))
    return seen


def _agree(expected: Judgement, answer: Judgement) -> bool:
    if expected.scores is None or answer.scores is None:
        return expected.status is answer.status
    mine, theirs = expected.scores.given(), answer.scores.given()
    return (
        mine.keys() == theirs.keys()
        and all(abs(mine[name] - theirs[name]) < _SAME_SCORE for name in mine)
        and expected.regions == answer.regions
        and expected.pq_reasoning == answer.pq_reasoning
        and expected.sc_reasoning == answer.sc_reasoning
    )
