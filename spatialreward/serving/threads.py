"""How many threads a batch's matrix products get, of those that a machine has."""

import threading
import time
from collections.abc import Callable
from pathlib import Path

_LOADAVG = Path("/proc/loadavg")
_LOOKS, _BETWEEN_LOOKS_S = 8, 0.0005


def others_at_work() -> bool:
    """Whether other threads of this machine keep wanting to run; False where nobody can tell."""
    for _ in range(_LOOKS):
        if not _LOADAVG.exists() or _LOADAVG.read_text().split()[3].startswith("1/"):
            return False
        # Somebody may just have woken up and go to sleep again.
        time.sleep(_BETWEEN_LOOKS_S)
    return True


class Threads:
    """Divides threads among workers; a worker calls from a thread of its own.

    Threads that share a core wait for each other, and are many times slower than one. So each
    worker has its share, and where that is one thread, the worker that first finds nobody else at
    work on the machine may have all, then and whenever that is so again. No other worker may:
    OpenMP keeps the threads of each for its next products, and is slower (24 % a judgement, two
    workers with two threads on two cores) once it has more of them than there are cores.
    """

    def __init__(
        self,
        total: int,
        num_workers: int,
        set_number: Callable[[int], object],
        others: Callable[[], bool] = others_at_work,
    ) -> None:
        """Begin with no worker that may have all.

        Args:
            total: threads that there are for all workers together.
            num_workers: how many may work at the same time.
            set_number: says how many the calling thread's products get from now on.
            others: whether the machine has other work.
        """
        self._total = total
        self._share = max(1, total // num_workers)
        self._set_number = set_number
        self._others = others
        self._owner_of_all: int | None = None
        self._lock = threading.Lock()

    def divide(self) -> None:
        """Give the calling worker as many as there are for it now."""
        self._set_number(self._total if self._may_have_all() else self._share)

    def _may_have_all(self) -> bool:
        if self._share > 1 or self._others():
            return False
        with self._lock:
            if self._owner_of_all is None:
                self._owner_of_all = threading.get_ident()
        return self._owner_of_all == threading.get_ident()
