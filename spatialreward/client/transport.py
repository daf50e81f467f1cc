"""Two ways to reach servers: with threads that wait, and with asyncio.

What is to be done is written once, as coroutines over a ``Transport`` (``asking.py``). With
``BlockingTransport`` they wait inside each step and so never suspend, and ``run`` takes them to
their end without an event loop.
"""

import asyncio
import time
from collections.abc import Callable, Coroutine
from functools import cached_property
from typing import Any, Protocol, TypeVar

import tritonclient.grpc as blocking
import tritonclient.grpc.aio as asynchronous

Result = TypeVar("Result")

_INT32_MAX = 2**31 - 1
_CHANNEL_ARGUMENTS = [
    ("grpc.max_send_message_length", _INT32_MAX),
    ("grpc.max_receive_message_length", _INT32_MAX),
    # gRPC by itself waits up to two minutes before it looks again for a server that was away.
    ("grpc.initial_reconnect_backoff_ms", 200),
    ("grpc.min_reconnect_backoff_ms", 5_000),
    ("grpc.max_reconnect_backoff_ms", 2_000),
]


class Transport(Protocol):
    """How to reach servers, wait and compute."""

    async def call(self, endpoint: str, operation: Callable[[Any], Any]) -> Any:
        """The result of an operation on the Triton client of that address."""
        ...

    async def compute(self, function: Callable[[], Result]) -> Result:
        """The result of a function that takes the processor for a while."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Wait."""
        ...


class BlockingTransport:
    """Waits in the thread that asks; safe to use from several threads."""

    def __init__(self, endpoints: tuple[str, ...]) -> None:
        """Connect to each address when it is first asked."""
        self._clients = {
            endpoint: blocking.InferenceServerClient(endpoint, channel_args=_CHANNEL_ARGUMENTS)
            for endpoint in endpoints
        }

    async def call(self, endpoint: str, operation: Callable[[Any], Any]) -> Any:
        """See ``Transport``."""
        return operation(self._clients[endpoint])

    async def compute(self, function: Callable[[], Result]) -> Result:
        """See ``Transport``."""
        return function()

    async def sleep(self, seconds: float) -> None:
        """See ``Transport``."""
        time.sleep(seconds)

    def close(self) -> None:
        """Break what is under way."""
        for client in self._clients.values():
            client.close()


class AsyncTransport:
    """Belongs to the event loop in which it is first used."""

    def __init__(self, endpoints: tuple[str, ...]) -> None:
        """Connect to each address when it is first asked."""
        self._endpoints = endpoints

    @cached_property
    def _clients(self) -> dict[str, asynchronous.InferenceServerClient]:
        # A channel binds itself to the loop that runs when it is made.
        return {
            endpoint: asynchronous.InferenceServerClient(endpoint, channel_args=_CHANNEL_ARGUMENTS)
            for endpoint in self._endpoints
        }

    async def call(self, endpoint: str, operation: Callable[[Any], Any]) -> Any:
        """See ``Transport``."""
        return await operation(self._clients[endpoint])

    async def compute(self, function: Callable[[], Result]) -> Result:
        """See ``Transport``."""
        return await asyncio.to_thread(function)

    async def sleep(self, seconds: float) -> None:
        """See ``Transport``."""
        await asyncio.sleep(seconds)

    async def close(self) -> None:
        """Break what is under way."""
        for client in self._clients.values():
            await client.close()


def run(steps: Coroutine[Any, Any, Result]) -> Result:
    """The result of a coroutine that only a ``BlockingTransport`` makes wait."""
    try:
        steps.send(None)
    except StopIteration as end:
        return end.value
    steps.close()
    raise AssertionError("a coroutine over a blocking transport has suspended")
