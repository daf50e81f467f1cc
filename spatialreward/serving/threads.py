"""Divides a machine's threads among the matrix products of workers."""

import threading
import time
from collections.abc import Callable
from pathlib import Path

_LOADAVG = Path("/proc/loadavg")
_LOOKS, _BETWEEN_LOOKS_S = 8, 0.0005


def others_at_work() -> bool:
    """Whether other threads of this machine want to run; False if that is unknown."""
    for _ in range(_LOOKS):
        if not _LOADAVG.exists() or _LOADAVG.read_text().split()[3].startswith("1/"):
            return False
        # A thread may have woken up only briefly.
        time.sleep(_BETWEEN_LOOKS_S)
    return True


class Threads:
    """Divides threads among workers; each worker calls from its own thread.

    Threads that share a core wait for each other, and are many times slower than one. So each
    worker has its share, and if that is one thread, the first worker that finds the machine
    otherwise idle may use all threads, now and whenever the machine is idle again. No other worker
    may: OpenMP keeps each worker's threads, and is slower (24 % a judgement, two workers with two
    threads on two cores) once there are more of them than cores.
    """

    def __init__(
        self,
        total: int,
        num_workers: int,
        set_number: Callable[[int], object],
        others: Callable[[], bool] = others_at_work,
    ) -> None:
        """Start without a worker that may use all threads.

        Args:
            total: threads for all workers together.
            num_workers: workers in parallel.
            set_number: sets the number of threads for the calling thread's matrix products.
            others: returns whether the machine has other work.
        """
        self._total = total
        self._share = max(1, total // num_workers)
        self._set_number = set_number
        self._others = others
        self._owner_of_all: int | None = None
        self._lock = threading.Lock()

    def divide(self) -> None:
        """Set the calling worker's number of threads."""
        self._set_number(self._total if self._may_have_all() else self._share)

    def _may_have_all(self) -> bool:
        if self._share > 1 or self._others():
            return False
        with self._lock:
            if self._owner_of_all is None:
                self._owner_of_all = threading.get_ident()
        return self._owner_of_all == threading.get_ident()
