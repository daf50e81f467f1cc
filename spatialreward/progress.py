"""Progress of long work: a bar on a terminal, plain lines in a log.

A bar redraws itself, which a log file or a container's output turns into thousands of lines; a log
gets one line every few seconds instead, with progress and time left.
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
"""Metrics callback of a training: (metrics by name, step)."""

SECONDS_BETWEEN_LINES = 10.0
_PROGRESS = {"event": "progress"}
"""Marks a log record as one of a series, of which a handler may keep the last only."""


def track(iterable: Iterable[Item], *, total: int | None, description: str) -> Iterator[Item]:
    """Yield the items of ``iterable`` and show how many of ``total`` are done; None: unknown.

    On a terminal that is tqdm's bar with the time left, written to standard error. Elsewhere it is
    the same without the bar, as a log line about every ten seconds and one at the end, at level
    INFO.
    """
    if sys.stderr.isatty():
        yield from tqdm(iterable, total=total, desc=description, dynamic_ncols=True)
    else:
        yield from _with_log_lines(iterable, total, description)


def hide_loading_bars() -> None:
    """Turn off the bars of transformers and diffusers, as far as they are imported.

    They count tensors and files of one checkpoint for a second or two, between our own lines and in
    logs. Bars of downloads stay.
    """
    hub = sys.modules.get("huggingface_hub.utils")
    shows_downloads = hub is not None and not hub.are_progress_bars_disabled()
    for name in ("transformers", "diffusers"):
        if library := sys.modules.get(f"{name}.utils.logging"):
            library.disable_progress_bar()
    if hub is not None and shows_downloads:
        # Transformers turns them off with its own.
        hub.enable_progress_bars()


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
