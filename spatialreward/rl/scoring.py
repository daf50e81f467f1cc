"""Judges edits in the background, during sampling or training."""

import time
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import NamedTuple, Self

from spatialreward.edits import Edit
from spatialreward.rl.types import Reward, Scored


class Timed(NamedTuple):
    """Rewards of edits, and the time it took."""

    scored: Scored
    seconds: float


class Scorer:
    """Calls a reward, one call at a time, in a background thread or directly."""

    def __init__(self, reward: Reward, *, in_background: bool) -> None:
        """Wrap a reward; without ``in_background`` a call returns when the edits are judged."""
        self._reward = reward
        self._threads = ThreadPoolExecutor(1, "scoring") if in_background else None

    def __enter__(self) -> Self:
        """The scorer itself."""
        return self

    def __exit__(self, kind: type[BaseException] | None, *error: object) -> None:
        """After an error, cancel pending calls, and do not wait for running ones."""
        if self._threads is not None:
            self._threads.shutdown(wait=kind is None, cancel_futures=True)

    def submit(self, edits: Sequence[Edit]) -> Future[Timed]:
        """Judge edits; the future's ``result`` raises the reward's errors."""
        if self._threads is not None:
            return self._threads.submit(self._score, edits)
        done: Future[Timed] = Future()
        done.set_result(self._score(edits))
        return done

    def _score(self, edits: Sequence[Edit]) -> Timed:
        start = time.perf_counter()
        return Timed(self._reward.score(edits), time.perf_counter() - start)
