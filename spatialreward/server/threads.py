"""How many threads a batch's matrix products get, of those that a machine has."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager


class Threads:
    """Divides threads among workers; a worker calls from a thread of its own.

    Where each has one, the first that works alone may use all of them, then and whenever it is
    alone again. No other may: OpenMP keeps the threads of each worker for its next products, and
    with more of them than there are cores they stop waiting for each other awake, which costs more
    (24 % a judgement, two workers with two threads on two cores) than they bring.
    """

    def __init__(self, total: int, num_workers: int, set_number: Callable[[int], object]) -> None:
        """Begin with nobody at work.

        Args:
            total: threads that there are for all workers together.
            num_workers: how many may work at the same time.
            set_number: says how many the calling thread's products get from now on.
        """
        self._total = total
        self._share = max(1, total // num_workers)
        self._set_number = set_number
        self._num_working = 0
        self._owner_of_all: int | None = None
        self._lock = threading.Lock()

    @contextmanager
    def divided(self) -> Iterator[None]:
        """Work, for the length of a block, with as many as there are for it at its beginning."""
        with self._lock:
            self._num_working += 1
            number = self._total if self._may_have_all() else self._share
        self._set_number(number)
        try:
            yield
        finally:
            with self._lock:
                self._num_working -= 1

    def _may_have_all(self) -> bool:
        if self._share > 1 or self._num_working > 1:
            return False
        if self._owner_of_all is None:
            self._owner_of_all = threading.get_ident()
        return self._owner_of_all == threading.get_ident()
