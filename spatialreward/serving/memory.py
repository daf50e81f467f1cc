"""Freed memory goes back to the system, so that what a server takes is what it needs.

Batches of ever other sizes leave holes of ever other sizes in glibc's heap. It keeps them, and a
server under load seems to grow for as long as nobody has seen its largest batch.
"""

import ctypes
import time
from collections.abc import Callable


class Trimmer:
    """Gives back what is free, now and then; nothing happens where the C library is not glibc."""

    def __init__(self, every_s: float, clock: Callable[[], float] = time.monotonic) -> None:
        """Begin to count.

        Args:
            every_s: seconds between two times; 0: never.
            clock: the time in seconds.
        """
        self._every_s = every_s
        self._clock = clock
        self._due = clock() + every_s
        self._trim = getattr(ctypes.CDLL(None), "malloc_trim", None) if every_s else None

    def trim_when_due(self) -> bool:
        """Tell whether it was time; takes some milliseconds then."""
        now = self._clock()
        if self._trim is None or now < self._due:
            return False
        # Two threads that come at the same time both trim: slower, and harmless.
        self._due = now + self._every_s
        self._trim(0)
        return True
