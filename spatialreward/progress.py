"""Progress of long work: a bar on a terminal, plain lines in a log.

A bar redraws itself, which a log file or a container's output turns into thousands of lines; there
one line every few seconds says how far the work is and how long it will take.
"""

import logging
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

from tqdm import tqdm

logger = logging.getLogger(__name__)
Item = TypeVar("Item")

ReportMetrics = Callable[[dict[str, float], int], None]
"""Gets figures of a training by name, and the step that they are of."""

SECONDS_BETWEEN_LINES = 10.0
_PROGRESS = {"event": "progress"}
"""Tells a log handler that the line is one of many, of which the last counts."""


def track(iterable: Iterable[Item], *, total: int | None, description: str) -> Iterator[Item]:
    """Yield the items of ``iterable`` and show how many of ``total`` are done; None: of unknown.

    On a terminal that is tqdm's bar with the time left, written to standard error. Elsewhere it is
    the same without the bar, as a log line about every ten seconds and one at the end, at level
    INFO.
    """
    if sys.stderr.isatty():
        yield from tqdm(iterable, total=total, desc=description, dynamic_ncols=True)
    else:
        yield from _with_log_lines(iterable, total, description)


def _with_log_lines(
    iterable: Iterable[Item], total: int | None, description: str
) -> Iterator[Item]:
    start = last_line = time.monotonic()
    done = 0
    for item in iterable:
        yield item
        done += 1
        now = time.monotonic()
        if now - last_line >= SECONDS_BETWEEN_LINES and (total is None or done < total):
            last_line = now
            _log(description, done, total, now - start)
    _log(description, done, total, time.monotonic() - start)


def _log(description: str, done: int, total: int | None, elapsed_s: float) -> None:
    # A tqdm that logs its own lines would hold tqdm's lock while it waits for a handler's, and
    # handlers write by tqdm: the two locks would wait for each other.
    line = tqdm.format_meter(done, total, elapsed_s, ncols=0, prefix=description)
    logger.info("%s", line, extra=_PROGRESS)
