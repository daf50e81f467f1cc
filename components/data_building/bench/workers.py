"""Processes that stand ready, so that two ways to do a thing can be timed right after each other.

A worker is a process with one thread, as a pod with one core would run it. It has imported
everything and waits; starting it is no part of what is measured.
"""

import shutil
import time
from collections.abc import Callable
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, Self

import cv2

from spatialreward.errors import SpatialRewardError
from spatialreward.figures import peak_memory_bytes

_LONGEST_S = 900

Do = Callable[[Path, Path], None]
"""Makes a folder out of a folder of data."""


class WorkerError(SpatialRewardError, RuntimeError):
    """A worker ended, or takes too long, so nothing was measured."""


class Work(NamedTuple):
    """What one process did, by a clock that all of them share."""

    start: float
    end: float
    cpu_s: float
    """Time of a core that it had in between."""
    peak_bytes: int
    """Memory that it ever had."""


class Worker:
    """A process that does the same thing whenever it is asked."""

    def __init__(self, name: str, do: Do, out: Path) -> None:
        """Start the process; what it makes goes to ``out``, anew each time."""
        context = get_context("spawn")
        self._name = name
        self._connection, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(do, out, theirs), daemon=True)
        self._process.start()
        # Else the end of the process would not be noticed here.
        theirs.close()

    def begin(self, data: Path) -> None:
        """Have the work done on ``data``, and do not wait for it.

        Raises:
            WorkerError: the process has ended.
        """
        try:
            self._connection.send(data)
        except OSError as error:
            raise self._ended() from error

    def result(self) -> Work:
        """Wait for what was begun.

        Raises:
            WorkerError: the process ended, or takes longer than a quarter of an hour.
        """
        if not self._connection.poll(_LONGEST_S):
            raise WorkerError(f"{self._name}: not done after {_LONGEST_S} s")
        try:
            return self._connection.recv()
        except (EOFError, OSError) as error:
            raise self._ended() from error

    def __enter__(self) -> Self:
        """Itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        where: TracebackType | None,
    ) -> None:
        """End the process; one that works still, after an error elsewhere, is stopped."""
        self._connection.close()
        if kind is not None:
            self._process.terminate()
        self._process.join()

    def _ended(self) -> WorkerError:
        self._process.join()
        return WorkerError(f"{self._name}: its process ended with status {self._process.exitcode}")


def side_by_side(workers: list[Worker], data: Path) -> list[Work]:
    """Have all of them work on ``data`` at the same time.

    Raises:
        WorkerError: as ``Worker.result``.
    """
    for worker in workers:
        worker.begin(data)
    return [worker.result() for worker in workers]


def _serve(do: Do, out: Path, connection: Connection) -> None:
    cv2.setNumThreads(1)
    while True:
        try:
            data = connection.recv()
        except EOFError:
            return
        connection.send(_timed(do, data, out))


def _timed(do: Do, data: Path, out: Path) -> Work:
    shutil.rmtree(out, ignore_errors=True)
    start, cpu_start = time.monotonic(), time.process_time()
    do(data, out)
    end, cpu_s = time.monotonic(), time.process_time() - cpu_start
    return Work(start, end, cpu_s, peak_memory_bytes())
