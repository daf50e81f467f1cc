"""A stack for the length of a ``with`` block: nothing is left running, however the block ends."""

import signal
import threading
from collections.abc import Iterator
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

    Success, an error, Ctrl-C, SIGTERM and SIGHUP all stop it; what a SIGKILL leaves behind is
    stopped when a stack is started in the same folder again. A stack that somebody brought up
    before is used as it is and stays up.

    Raises:
        StackError: as ``up``.
        SystemExit: SIGTERM or SIGHUP arrived; the status is 128 plus the signal's number.
    """
    me = identity_of_this_process()
    with _stop_signals_as_exceptions():
        try:
            yield up(config, owner=me)
        finally:
            with _stop_signals_held_back():
                endpoints = read_endpoints(config.state_dir)
                if endpoints is not None and endpoints.owner == me:
                    down(config.state_dir)


@contextmanager
def _stop_signals_as_exceptions() -> Iterator[None]:
    """Turn signals that would end the process on the spot into SystemExit.

    A handler of the caller's own, or a signal that is ignored (as under nohup), stays as it is.
    """
    replaced = [
        number
        for number in _STOP_SIGNALS
        if _in_main_thread() and signal.getsignal(number) is signal.SIG_DFL
    ]
    for number in replaced:
        signal.signal(number, _exit)
    try:
        yield
    finally:
        for number in replaced:
            signal.signal(number, signal.SIG_DFL)


@contextmanager
def _stop_signals_held_back() -> Iterator[None]:
    """Keep an impatient second Ctrl-C from interrupting the stopping; it comes afterwards."""
    arrived: list[int] = []
    handlers = {}
    if _in_main_thread():
        for number in _STOP_SIGNALS:
            handlers[number] = signal.signal(number, lambda which, _frame: arrived.append(which))
    try:
        yield
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
    if arrived:
        signal.raise_signal(arrived[0])


def _exit(number: int, _frame: FrameType | None) -> NoReturn:
    raise SystemExit(128 + number)


def _in_main_thread() -> bool:
    return threading.current_thread() is threading.main_thread()
