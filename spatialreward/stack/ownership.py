"""A stack for the length of a ``with`` block: nothing keeps running, however the block ends."""

import signal
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import NoReturn

from spatialreward.stack.config import StackConfig
from spatialreward.stack.endpoints import Endpoints, read_endpoints
from spatialreward.stack.lifecycle import down, up
from spatialreward.stack.processes import identity_of_this_process

_STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@contextmanager
def running_stack(config: StackConfig) -> Iterator[Endpoints]:
    """Run a stack for the length of a ``with`` block, and leave nothing running after it.

    Success, an error, Ctrl-C, SIGTERM and SIGHUP all stop it; the next start in the same folder
    stops what a SIGKILL left behind. A stack that is up already is used as it is and stays up. A
    caller's own handler of a signal, and an ignored signal (as under nohup), stay as they are.

    Raises:
        StackError: as ``up``.
        SystemExit: SIGTERM or SIGHUP arrived; the status is 128 plus the signal's number.
    """
    me = identity_of_this_process()
    deadly = [number for number in _STOP_SIGNALS if signal.getsignal(number) is signal.SIG_DFL]
    with _handling(deadly, _exit):
        try:
            yield up(config, owner=me)
        finally:
            with _stop_signals_held_back():
                endpoints = read_endpoints(config.state_dir)
                if endpoints is not None and endpoints.owner == me:
                    down(config.state_dir)


@contextmanager
def _stop_signals_held_back() -> Iterator[None]:
    """Keep an impatient second Ctrl-C from interrupting the stopping; it comes afterwards.

    A blocked signal mask would not do: it holds for one thread, and Python runs handlers in the
    main thread for signals that any thread received.
    """
    arrived: list[int] = []
    with _handling(_STOP_SIGNALS, lambda number, _frame: arrived.append(number)):
        yield
    if arrived:
        signal.raise_signal(arrived[0])


@contextmanager
def _handling(
    numbers: Iterable[int], handler: Callable[[int, FrameType | None], object]
) -> Iterator[None]:
    """Handle signals for the length of the block; only a main thread can."""
    is_main = threading.current_thread() is threading.main_thread()
    before = {number: signal.signal(number, handler) for number in numbers if is_main}
    try:
        yield
    finally:
        for number, previous in before.items():
            signal.signal(number, previous)


def _exit(number: int, _frame: FrameType | None) -> NoReturn:
    raise SystemExit(128 + number)
