"""How many edits a server judges a second, as measured lately."""

import math
import time
from collections.abc import Callable

_MEMORY_S = 10.0
"""What was measured so long ago counts a third."""
_FIRST_GUESS = 20.0
"""Edits a second, before any was judged; weighs as much as one second of work."""


class Throughput:
    """Edits of all workers over the seconds in which there was work; pauses do not count."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        """Begin with a guess; ``clock`` is the time in seconds."""
        self._clock = clock
        self._edits = _FIRST_GUESS
        self._seconds = 1.0
        self._counted_until = clock()

    def resume(self) -> None:
        """Work arrives after a pause."""
        self._counted_until = self._clock()

    def count(self) -> None:
        """An edit has been judged."""
        now = self._clock()
        seconds, self._counted_until = now - self._counted_until, now
        # What came before fades, this interval does not: a batch may be longer than the memory.
        kept = math.exp(-seconds / _MEMORY_S)
        self._edits = self._edits * kept + 1
        self._seconds = self._seconds * kept + seconds

    def seconds_for(self, num_edits: int) -> float:
        """How long so many edits take."""
        return num_edits * self._seconds / self._edits
