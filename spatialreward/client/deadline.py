"""How much time a call has left."""

import math
import time


class Deadline:
    """When a call must be over, if ever."""

    def __init__(self, seconds: float | None = None) -> None:
        """End in so many seconds from now; None: never."""
        self.seconds = math.inf if seconds is None else seconds
        self._ends_at = time.monotonic() + self.seconds

    def left_s(self) -> float:
        """Seconds that are left; 0 if it is over, infinity if it never will be."""
        return max(0.0, self._ends_at - time.monotonic())

    def give_up(self) -> None:
        """End now: the caller has stopped waiting for the answers."""
        self._ends_at = -math.inf
