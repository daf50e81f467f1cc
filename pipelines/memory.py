"""Peak memory of several processes together, with shared pages counted once."""

import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

import psutil

_EVERY_S = 1.0


class PeakMemory:
    """The largest sum seen so far."""

    def __init__(self, others: Callable[[], Iterable[int]]) -> None:
        """Watch this process, its descendants, and those of the processes from ``others``."""
        self._others = others
        self.peak_bytes = 0

    def look(self) -> None:
        """Take one sample."""
        found = {process.pid: process for process in _tree(psutil.Process())}
        for pid in self._others():
            try:
                found |= {process.pid: process for process in _tree(psutil.Process(pid))}
            except psutil.NoSuchProcess:
                continue
        self.peak_bytes = max(self.peak_bytes, sum(map(_held_bytes, found.values())))


@contextmanager
def watched_memory(others: Callable[[], Iterable[int]] = tuple) -> Iterator[PeakMemory]:
    """Sample about every second during a ``with`` block."""
    peak = PeakMemory(others)
    stopped = threading.Event()

    def watch() -> None:
        while not stopped.wait(_EVERY_S):
            peak.look()

    thread = threading.Thread(target=watch, name="memory", daemon=True)
    thread.start()
    try:
        yield peak
    finally:
        stopped.set()
        thread.join()


def _tree(process: psutil.Process) -> list[psutil.Process]:
    return [process, *process.children(recursive=True)]


def _held_bytes(process: psutil.Process) -> int:
    """Proportional set size: divides a page that several processes share among them."""
    try:
        try:
            full = process.memory_full_info()
        except psutil.AccessDenied:
            return process.memory_info().rss
    except psutil.Error:
        # It has ended in the meantime.
        return 0
    return getattr(full, "pss", full.rss)
