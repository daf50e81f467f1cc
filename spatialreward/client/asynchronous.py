"""Asks the judge on a Triton server, over gRPC, from an asyncio event loop."""

import asyncio
from collections.abc import Iterable, Sequence
from typing import Any, Self

from spatialreward.client.asking import Asking
from spatialreward.client.config import client_config
from spatialreward.client.deadline import Deadline
from spatialreward.client.splitting import PictureFiles, in_order, split
from spatialreward.client.transport import AsyncTransport
from spatialreward.client.triton import endpoint_from_environment
from spatialreward.edits import Edit
from spatialreward.judges.interface import check_edits
from spatialreward.records import JudgeIdentity, Judgement


class AsyncTritonJudge:
    """A judge behind one or several Triton servers; belongs to the event loop that first uses it.

    Cancelling a task that awaits it cancels its requests.
    """

    def __init__(self, endpoint: str | Sequence[str], **options: Any) -> None:
        """Connect when first used.

        Args:
            endpoint: gRPC address ``host:port``, or several, in a list or with commas between them.
            options: the other fields of ``ClientConfig``, such as ``model`` and ``timeout_s``.

        Raises:
            InvalidInputError: an argument cannot be used.
        """
        self._config = client_config(endpoint, **options)
        self._in_flight = asyncio.Semaphore(self._config.requests_in_flight)
        self._transport = AsyncTransport(self._config.endpoints)
        self._asking = Asking(self._config, self._transport)

    @classmethod
    def from_environment(cls) -> Self:
        """The judge of the servers at ``TRITON_GRPC_URL``.

        Raises:
            InvalidInputError: it is not set.
        """
        return cls(endpoint_from_environment())

    async def notice(self) -> str:
        """What a reader of the judgements must know about the served model.

        Raises:
            ServingError: no server serves it.
        """
        return await self._asking.notice()

    async def identity(self) -> JudgeIdentity:
        """Who judges, at the first server that answers; asked each time.

        Raises:
            ServingError: no server serves the model.
        """
        return await self._asking.identity()

    async def check(self) -> None:
        """Make sure that the model can be asked.

        Raises:
            ServingError: no server serves it.
        """
        await self._asking.check()

    async def judge(
        self, edits: Iterable[Edit], *, deadline_s: float | None = None
    ) -> list[Judgement]:
        """One judgement an edit, in order; one that the server cannot judge is a failed one.

        Args:
            edits: any number; they are sent in requests of ``edits_per_request``.
            deadline_s: how long the whole call may take; None: as long as its requests do.

        Raises:
            InvalidInputError: something among ``edits`` is no edit.
            ServingError: one of the requests got no answer that can be used.
        """
        edits = check_edits(edits)
        files = PictureFiles(edits)
        deadline = Deadline(deadline_s)

        async def ask(positions: list[int]) -> list[Judgement]:
            async with self._in_flight:
                return await self._asking.judge([edits[at] for at in positions], files, deadline)

        requests = split(edits, self._config.edits_per_request)
        tasks = [asyncio.create_task(ask(positions)) for positions in requests]
        try:
            return in_order(requests, await asyncio.gather(*tasks))
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def close(self) -> None:
        """Let go of the connections; requests under way are cancelled."""
        await self._transport.close()

    async def __aenter__(self) -> Self:
        """The judge itself; it is closed at the end of the ``async with`` block."""
        return self

    async def __aexit__(self, *error: object) -> None:
        """See ``close``."""
        await self.close()
