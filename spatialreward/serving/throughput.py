"""Recent throughput of a server, in edits a second."""

import math
import time
from collections.abc import Callable

_MEMORY_S = 10.0
"""Time after which a measurement's weight falls to a third."""
_FIRST_GUESS = 20.0
"""Initial guess in edits a second; weighs as much as one second of work."""


class Throughput:
    """Edits of all workers per second of work; pauses do not count."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        """Start with the guess; ``clock`` is the time in seconds."""
        self._clock = clock
        self._edits = _FIRST_GUESS
        self._seconds = 1.0
        self._counted_until = clock()

    def resume(self) -> None:
        """Restart the clock after a pause."""
        self._counted_until = self._clock()

    def count(self) -> None:
        """Count a judged edit."""
        now = self._clock()
        seconds, self._counted_until = now - self._counted_until, now
        # Older measurements fade, this interval does not: a batch may take longer than the window.
        kept = math.exp(-seconds / _MEMORY_S)
        self._edits = self._edits * kept + 1
        self._seconds = self._seconds * kept + seconds

    def seconds_for(self, num_edits: int) -> float:
        """Expected time for this number of edits."""
        return num_edits * self._seconds / self._edits
