"""Has edits judged in the background, while others are drawn or trained on."""

import time
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import NamedTuple, Self

from spatialreward.edits import Edit
from spatialreward.rl.types import Reward, Scored


class Timed(NamedTuple):
    """What edits are worth, and how long it took to say so."""

    scored: Scored
    seconds: float


class Scorer:
    """Asks a reward, one call at a time, in a thread of its own or at once."""

    def __init__(self, reward: Reward, *, in_background: bool) -> None:
        """Take a reward; without ``in_background`` a call returns when the edits are judged."""
        self._reward = reward
        self._threads = ThreadPoolExecutor(1, "scoring") if in_background else None

    def __enter__(self) -> Self:
        """The scorer itself."""
        return self

    def __exit__(self, kind: type[BaseException] | None, *error: object) -> None:
        """After an error what has not begun is dropped, and what has is not waited for."""
        if self._threads is not None:
            self._threads.shutdown(wait=kind is None, cancel_futures=True)

    def submit(self, edits: Sequence[Edit]) -> Future[Timed]:
        """Have edits judged; errors of the reward are raised by the future's ``result``."""
        if self._threads is not None:
            return self._threads.submit(self._score, edits)
        done: Future[Timed] = Future()
        done.set_result(self._score(edits))
        return done

    def _score(self, edits: Sequence[Edit]) -> Timed:
        start = time.perf_counter()
        return Timed(self._reward.score(edits), time.perf_counter() - start)
