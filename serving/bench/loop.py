"""A closed loop of clients: each sends its next group after the previous answer."""

import threading
import time
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from serving.bench.workload import Group


class Round(NamedTuple):
    """Result of one round of one server."""

    judgements_per_s: float
    latencies_s: list[float]
    """Of the groups."""

    @property
    def p50_s(self) -> float:
        """Median latency of a group."""
        return float(np.percentile(self.latencies_s, 50))

    @property
    def p95_s(self) -> float:
        """95th percentile of a group's latency."""
        return float(np.percentile(self.latencies_s, 95))


def closed_loop(
    ask: Callable[[Group], object], work: Sequence[Group], *, clients: int, seconds: float
) -> Round:
    """Keep a server busy for a while; finishes and counts open groups.

    Raises:
        Exception: a client's error.
    """
    latencies: list[float] = []
    errors: list[Exception] = []
    judged = 0
    lock = threading.Lock()
    start_line = threading.Barrier(clients + 1)

    def client(number: int) -> None:
        nonlocal judged
        start_line.wait()
        turn = number
        while time.monotonic() < until and not errors:
            group = work[turn % len(work)]
            turn += clients
            sent = time.monotonic()
            try:
                ask(group)
            except Exception as error:
                errors.append(error)
                return
            with lock:
                latencies.append(time.monotonic() - sent)
                judged += len(group)

    threads = [threading.Thread(target=client, args=(number,)) for number in range(clients)]
    until = float("inf")
    for thread in threads:
        thread.start()
    start = time.monotonic()
    until = start + seconds
    start_line.wait()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]
    return Round(judged / (time.monotonic() - start), latencies)
