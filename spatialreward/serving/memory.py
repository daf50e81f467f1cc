"""Returns freed memory to the system, so that the server's memory reflects its need.

Batches of varying sizes fragment glibc's heap. glibc keeps the free parts, so a server under load
seems to grow until its largest batch has occurred.
"""

import ctypes
import time
from collections.abc import Callable


class Trimmer:
    """Trims the heap at intervals; no effect if the C library is not glibc."""

    def __init__(self, every_s: float, clock: Callable[[], float] = time.monotonic) -> None:
        """Start the interval.

        Args:
            every_s: seconds between trims; 0: never.
            clock: the time in seconds.
        """
        self._every_s = every_s
        self._clock = clock
        self._due = clock() + every_s
        self._trim = getattr(ctypes.CDLL(None), "malloc_trim", None) if every_s else None

    def trim_when_due(self) -> bool:
        """Trim if the interval is over; returns whether it did. A trim takes some milliseconds."""
        now = self._clock()
        if self._trim is None or now < self._due:
            return False
        # Two simultaneous threads both trim: slower, but harmless.
        self._due = now + self._every_s
        self._trim(0)
        return True
