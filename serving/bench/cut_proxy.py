"""A local TCP proxy that counts traffic and can cut its connections."""

import re
import socket
import threading
from contextlib import suppress
from types import TracebackType
from typing import Self

_CHUNK = 1 << 16
_REQUEST = re.compile(rb"PUT /([^ ?]+)[^ ]* HTTP/1\.1\r\n")
_LONGEST_REQUEST = 2_000
"""A request line may come in two pieces."""


class CutProxy:
    """Forwards traffic to one address until it cuts all connections."""

    def __init__(self, host: str, port: int) -> None:
        """Listen at a free local port, in front of ``host:port``."""
        self._target = (host, port)
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port = self._listening.getsockname()[1]
        self._lock = threading.Lock()
        self._open: set[socket.socket] = set()
        self._cut_after: int | None = None
        self.is_cut = False
        self.num_up = self.num_down = 0
        """Bytes to the server, and from it."""
        self.put_keys: set[str] = set()
        """Bucket and key of each uploaded object, whole or in parts."""

    def __enter__(self) -> Self:
        """Start accepting."""
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close everything."""
        self._listening.close()
        self._cut()

    def start_again(self, cut_after: int | None = None) -> None:
        """Accept again, reset the counts, and cut after this number of bytes either way."""
        with self._lock:
            self._cut_after, self.is_cut = cut_after, False
            self.num_up = self.num_down = 0
            self.put_keys = set()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listening.accept()
            except OSError:
                return
            if self.is_cut:
                client.close()
                continue
            server = socket.create_connection(self._target)
            with self._lock:
                self._open |= {client, server}
            for way in ((client, server, True), (server, client, False)):
                threading.Thread(target=self._pass_on, args=way, daemon=True).start()

    def _pass_on(self, source: socket.socket, target: socket.socket, is_up: bool) -> None:
        before = b""
        with suppress(OSError):
            while chunk := source.recv(_CHUNK):
                self._count(before, chunk, is_up)
                before = chunk[-_LONGEST_REQUEST:]
                target.sendall(chunk)
        for one in (source, target):
            _close(one)
        with self._lock:
            self._open -= {source, target}

    def _count(self, before: bytes, chunk: bytes, is_up: bool) -> None:
        keys = {key.decode() for key in _REQUEST.findall(before + chunk)} if is_up else set()
        with self._lock:
            self.put_keys |= keys
            if is_up:
                self.num_up += len(chunk)
            else:
                self.num_down += len(chunk)
            passed = self.num_up + self.num_down
            is_enough = self._cut_after is not None and passed >= self._cut_after
        if is_enough:
            self._cut()

    def _cut(self) -> None:
        self.is_cut = True
        with self._lock:
            found = list(self._open)
        for one in found:
            _close(one)


def _close(one: socket.socket) -> None:
    # A shutdown wakes a thread in ``recv``, a close does not.
    with suppress(OSError):
        one.shutdown(socket.SHUT_RDWR)
    one.close()
