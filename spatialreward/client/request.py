"""Takes one request to whichever server answers, and again where that is safe.

Judging changes nothing on a server, so a request may be repeated, at another server too. That is
done only when a server said ``UNAVAILABLE``, which covers a lost connection and a full queue. One
that does not answer in time is not asked a second time, another one is; everything else ends the
request at once.
"""

import logging
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar
from uuid import uuid4

from tenacity import (
    AsyncRetrying,
    RetryCallState,
    before_sleep_log,
    retry_if_exception,
    stop_after_attempt,
    wait_exponential_jitter,
)
from tritonclient.utils import InferenceServerException

from spatialreward.client.config import ClientConfig
from spatialreward.client.deadline import Deadline
from spatialreward.client.errors import (
    DeadlineExceeded,
    ServerBusy,
    ServerUnavailable,
    WrongAddress,
)
from spatialreward.client.handshake import speaks_http
from spatialreward.client.refusal import Refusal, translate
from spatialreward.client.rotation import Absence, Aside, Rotation
from spatialreward.client.transport import Transport

logger = logging.getLogger(__name__)
Answer = TypeVar("Answer")

_PROBE_S = 2.0
_NO_CONNECTION = "failed to connect"
_backoff_s = wait_exponential_jitter(multiplier=0.1, max=5, jitter=0.1)
_log_wait = before_sleep_log(logger, logging.INFO)


def _may_pass(error: BaseException) -> bool:
    passing = (ServerUnavailable, ServerBusy)
    return isinstance(error, passing) and not isinstance(error, WrongAddress)


def _wait_s(state: RetryCallState) -> float:
    error = state.outcome.exception()
    hint_s = error.retry_after_s if isinstance(error, ServerBusy) else 0.0
    return max(hint_s, _backoff_s(state))


class Request:
    """One request, which has an id that the server and every error name."""

    def __init__(
        self, config: ClientConfig, transport: Transport, rotation: Rotation, deadline: Deadline
    ) -> None:
        """Ask nothing yet."""
        self.id = uuid4().hex
        self._config = config
        self._transport = transport
        self._rotation = rotation
        self._deadline = deadline

    def where(self, endpoint: str) -> str:
        """Who is asked for what, as a message begins."""
        return f"{self._config.model} at {endpoint}, request {self.id}"

    async def ask(self, operation: Callable[[str], Awaitable[Answer]]) -> Answer:
        """The result of an operation on the address of the first server that answers.

        Raises:
            ServingError: none does, or one says that it would be of no use to ask others.
        """
        again = AsyncRetrying(
            retry=retry_if_exception(_may_pass),
            stop=stop_after_attempt(self._config.attempts),
            wait=_wait_s,
            sleep=self._transport.sleep,
            before_sleep=self._before_sleep,
            reraise=True,
        )
        return await again(self._ask_each, operation)

    async def call(
        self, endpoint: str, operation: Callable[[Any, float], Any], at_most_s: float | None = None
    ) -> Any:
        """The result of an operation on a Triton client, which is also told how long it may take.

        Raises:
            Refusal: this server did not answer.
            ServingError: it did, and will not do what is asked, or it speaks no gRPC.
        """
        allowed_s = at_most_s or self._config.timeout_s
        timeout_s = min(allowed_s, self._deadline.left_s())
        try:
            return await self._transport.call(endpoint, lambda client: operation(client, timeout_s))
        except InferenceServerException as error:
            problem = translate(error, self.where(endpoint), timeout_s)
            is_late = isinstance(problem, Refusal) and problem.absence is Absence.LATE
            if is_late and timeout_s < allowed_s:
                raise self._time_is_over(endpoint) from error
            if _NO_CONNECTION in str(problem) and (
                wrong := await self._transport.compute(lambda: speaks_http(endpoint))
            ):
                raise WrongAddress(wrong) from error
            raise problem from error

    async def probe(self, endpoint: str) -> None:
        """Make sure that a server is there and serves the model.

        Raises:
            Refusal: it is not, or does not.
        """
        model = self._config.model
        try:
            is_ready = await self.call(
                endpoint,
                lambda client, timeout_s: client.is_model_ready(model, client_timeout=timeout_s),
                _PROBE_S,
            )
        except Refusal as refusal:
            if refusal.absence is Absence.LATE:
                raise Refusal(Absence.AWAY, refusal.reason) from refusal
            raise
        if not is_ready:
            raise Refusal(Absence.NO_MODEL, f"serves no model {model!r}")

    def check_time(self) -> None:
        """Make sure that the call has time left.

        Raises:
            DeadlineExceeded: it has none.
        """
        if not self._deadline.left_s():
            raise self._time_is_over(", ".join(self._config.endpoints))

    def _time_is_over(self, endpoints: str) -> DeadlineExceeded:
        return DeadlineExceeded(
            f"{self.where(endpoints)}: the call has taken {self._deadline.seconds:.3g} s, "
            "all that it may"
        )

    def _before_sleep(self, state: RetryCallState) -> None:
        if state.upcoming_sleep >= self._deadline.left_s():
            error = state.outcome.exception()
            raise DeadlineExceeded(
                f"{error}; with {self._deadline.seconds:.3g} s a call there is no time to ask again"
            ) from error
        _log_wait(state)

    async def _ask_each(self, operation: Callable[[str], Awaitable[Answer]]) -> Answer:
        """Ask one server after the other until one answers."""
        told: dict[str, Aside] = {}
        while endpoint := self._rotation.next(told):
            self.check_time()
            try:
                if self._rotation.is_aside(endpoint):
                    await self.probe(endpoint)
                answer = await operation(endpoint)
            except Refusal as refusal:
                told[endpoint] = self._rotation.put_aside(
                    endpoint, refusal.absence, refusal.reason, refusal.hint_s
                )
            else:
                self._rotation.take_back(endpoint)
                return answer
        raise self._rotation.error(self._config.model, f"request {self.id}", told)
