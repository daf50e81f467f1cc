"""Asks the judge on a Triton server, over gRPC, from threads."""

import os
from collections.abc import Iterable, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from functools import cached_property
from typing import Any, Self

from spatialreward.client.asking import Asking
from spatialreward.client.config import client_config
from spatialreward.client.deadline import Deadline
from spatialreward.client.errors import ServingError
from spatialreward.client.splitting import PictureFiles, in_order, split
from spatialreward.client.transport import BlockingTransport, run
from spatialreward.edits import Edit
from spatialreward.errors import InvalidInputError
from spatialreward.judges.interface import check_edits
from spatialreward.records import JudgeIdentity, Judgement


def endpoint_from_environment() -> str:
    """The addresses in ``TRITON_GRPC_URL``, with commas between them.

    Raises:
        InvalidInputError: it is not set.
    """
    endpoint = os.environ.get("TRITON_GRPC_URL")
    if not endpoint:
        raise InvalidInputError("served judge: TRITON_GRPC_URL not set, expected HOST:PORT")
    return endpoint


class TritonJudge:
    """A judge behind one or several Triton servers; safe to use from several threads."""

    def __init__(self, endpoint: str | Sequence[str], **options: Any) -> None:
        """Connect when first used.

        Args:
            endpoint: gRPC address ``host:port``, or several, in a list or with commas between them.
            options: the other fields of ``ClientConfig``, such as ``model`` and ``timeout_s``.

        Raises:
            InvalidInputError: an argument cannot be used.
        """
        self._config = client_config(endpoint, **options)
        self._transport = BlockingTransport(self._config.endpoints)
        self._asking = Asking(self._config, self._transport)
        self._is_closed = False
        self._threads = ThreadPoolExecutor(
            self._config.requests_in_flight, thread_name_prefix="served-judge"
        )

    @classmethod
    def from_environment(cls) -> Self:
        """The judge of the servers at ``TRITON_GRPC_URL``.

        Raises:
            InvalidInputError: it is not set.
        """
        return cls(endpoint_from_environment())

    @cached_property
    def notice(self) -> str:
        """What a reader of the judgements must know about the served model.

        Raises:
            ServingError: no server serves it.
        """
        return run(self._asking.notice())

    @property
    def identity(self) -> JudgeIdentity:
        """Who judges, at the first server that answers; asked each time.

        Raises:
            ServingError: no server serves the model.
        """
        return run(self._asking.identity())

    def check(self) -> None:
        """Make sure that the model can be asked.

        Raises:
            ServingError: no server serves it.
        """
        run(self._asking.check())

    def judge(self, edits: Iterable[Edit], *, deadline_s: float | None = None) -> list[Judgement]:
        """One judgement an edit, in order; one that the server cannot judge is a failed one.

        Args:
            edits: any number; they are sent in requests of ``edits_per_request``.
            deadline_s: how long the whole call may take; None: as long as its requests do.

        Raises:
            InvalidInputError: something among ``edits`` is no edit.
            ServingError: one of the requests got no answer that can be used.
        """
        edits = check_edits(edits)
        self._check_open()
        files = PictureFiles(edits)
        deadline = Deadline(deadline_s)

        def ask(positions: list[int]) -> list[Judgement]:
            self._check_open()
            return run(self._asking.judge([edits[at] for at in positions], files, deadline))

        requests = split(edits, self._config.edits_per_request)
        futures = [self._threads.submit(ask, positions) for positions in requests]
        try:
            done, _ = wait(futures, return_when=FIRST_EXCEPTION)
            # All of them, or one that failed: reading the others would mean to wait for them.
            answers = {future: future.result() for future in done}
        finally:
            deadline.give_up()
            for future in futures:
                future.cancel()
        return in_order(requests, [answers[future] for future in futures])

    def close(self) -> None:
        """Let go of the connections, after the requests that are under way."""
        self._is_closed = True
        self._threads.shutdown()
        self._transport.close()

    def __enter__(self) -> Self:
        """The judge itself; it is closed at the end of the ``with`` block."""
        return self

    def __exit__(self, *error: object) -> None:
        """See ``close``."""
        self.close()

    def _check_open(self) -> None:
        if self._is_closed:
            raise ServingError(f"{self._config.model}: this client has been closed")
