"""Prestarted processes for timing two implementations directly after each other.

A worker is a process with one thread, like a pod with one core. It has imported everything and
waits; its start is not measured.
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
"""Converts a folder of data to a result folder."""


class WorkerError(SpatialRewardError, RuntimeError):
    """A worker ended or timed out, so there is no measurement."""


class Work(NamedTuple):
    """One process's work, by a clock shared by all."""

    start: float
    end: float
    cpu_s: float
    """Core time in between."""
    peak_bytes: int
    """Peak memory."""


class Worker:
    """A process that repeats one task on request."""

    def __init__(self, name: str, do: Do, out: Path) -> None:
        """Start the process; each run replaces the result in ``out``."""
        context = get_context("spawn")
        self._name = name
        self._connection, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(do, out, theirs), daemon=True)
        self._process.start()
        # Otherwise the end of the process would go unnoticed here.
        theirs.close()

    def begin(self, data: Path) -> None:
        """Start the work on ``data`` without waiting.

        Raises:
            WorkerError: the process has ended.
        """
        try:
            self._connection.send(data)
        except OSError as error:
            raise self._ended() from error

    def result(self) -> Work:
        """Wait for the started work.

        Raises:
            WorkerError: the process ended, or exceeds a quarter of an hour.
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
        """End the process; stop one that still works after an error elsewhere."""
        self._connection.close()
        if kind is not None:
            self._process.terminate()
        self._process.join()

    def _ended(self) -> WorkerError:
        self._process.join()
        return WorkerError(f"{self._name}: its process ended with status {self._process.exitcode}")


def side_by_side(workers: list[Worker], data: Path) -> list[Work]:
    """Run all of them on ``data`` in parallel.

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
