"""Whether a deployer is of use now: what ``/readyz`` says."""

import threading
import time
from collections.abc import Callable

from spatialreward.ops.deployer.reconcile import Look, Outcome


class Status:
    """Shared by the loop and the threads that answer HTTP."""

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        """Not ready until registry and service have been seen once.

        Args:
            clock: seconds since the epoch.
        """
        self._clock = clock
        self._lock = threading.Lock()
        self._look: Look | None = None
        self._at = clock()

    def looked(self, look: Look) -> None:
        """Keep what the last look came to."""
        with self._lock:
            self._look = look
            self._at = self._clock()

    def readiness(self) -> tuple[bool, dict[str, object]]:
        """Whether it is ready, and why (not).

        A version that failed leaves it ready: it has done what it is there for.
        """
        with self._lock:
            look, ago_s = self._look, self._clock() - self._at
        if look is None:
            return False, {"ready": False, "message": "registry and service were not seen yet"}
        ready = look.outcome is not Outcome.ERROR
        return ready, {
            "ready": ready,
            "outcome": look.outcome,
            "message": look.message,
            "served_version": look.served.version if look.served else None,
            "seconds_ago": round(ago_s, 1),
        }
