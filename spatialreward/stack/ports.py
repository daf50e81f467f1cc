"""Free ports on the loopback interface, so that two stacks that start at once never collide."""

import random
import socket
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress

import psutil

from spatialreward.stack.config import StackError

LOOPBACK = "127.0.0.1"
_BLOCK = 16
# Below the range from which the kernel takes ports for outgoing connections.
_FIRST, _LAST = 20_000, 32_000


@contextmanager
def free_ports() -> Iterator[Iterator[int]]:
    """Yield free ports; they stay ours until the block ends, by when services should listen.

    The first port of a block of ports is held open meanwhile, so that another stack that starts
    now passes over the block. A port that the kernel picks (bind to port 0) would be free for an
    outgoing connection, or for the other stack, as soon as it is closed again.

    Raises:
        StackError: no block of ports is free.
    """
    starts = list(range(_FIRST, _LAST, _BLOCK))
    random.shuffle(starts)
    for start in starts:
        with closing(socket.socket()) as guard:
            try:
                guard.bind((LOOPBACK, start))
                guard.listen(1)
            except OSError:
                continue
            ports = range(start + 1, start + _BLOCK)
            if all(is_free(port) for port in ports):
                yield iter(ports)
                return
    raise StackError(f"no {_BLOCK} free ports in a row between {_FIRST} and {_LAST}")


def is_free(port: int) -> bool:
    """Tell whether a server could listen on a port of the loopback interface."""
    with closing(socket.socket()) as probe:
        # Connections that were closed a moment ago do not keep a server from listening.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
        return True


def require_free(port: int, purpose: str) -> int:
    """Return the port.

    Raises:
        StackError: something listens there already; the message says what, where that is known.
    """
    if not is_free(port):
        raise StackError(f"port {port} for {purpose} is taken{_taken_by(port)}")
    return port


def _taken_by(port: int) -> str:
    with suppress(psutil.Error):
        for one in psutil.net_connections("tcp"):
            if one.status == psutil.CONN_LISTEN and one.laddr.port == port and one.pid:
                return f" by process {one.pid} ({psutil.Process(one.pid).name()})"
    return ""
