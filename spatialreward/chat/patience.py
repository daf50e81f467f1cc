"""Retries of a request, and pauses of all requests."""

import asyncio
import random
from collections.abc import Callable

from tenacity import AsyncRetrying, RetryCallState, retry_if_exception, wait_exponential

from spatialreward.chat.config import ChatServer
from spatialreward.chat.faults import SENT_AGAIN, ChatFault

_LONGEST_BACKOFF_S = 60.0


class Pause:
    """Delays all requests after one of them got a Retry-After."""

    def __init__(self) -> None:
        """Start without a pause."""
        self._until = 0.0

    def extend(self, seconds: float) -> None:
        """Pause for at least this long from now."""
        self._until = max(self._until, asyncio.get_running_loop().time() + seconds)

    def extend_for(self, fault: ChatFault, config: ChatServer) -> None:
        """Pause for the server's Retry-After, unless it exceeds the limit."""
        if fault.retry_after_s and fault.retry_after_s <= config.longest_wait_s:
            self.extend(fault.retry_after_s)

    async def wait(self) -> None:
        """Wait until the pause is over."""
        loop = asyncio.get_running_loop()
        while (left_s := self._until - loop.time()) > 0:
            await asyncio.sleep(left_s)


def sending_again(
    config: ChatServer, before_sleep: Callable[[RetryCallState], None]
) -> AsyncRetrying:
    """Retry a request until there is an answer, or a retry cannot help.

    Args:
        config: number of attempts and waits.
        before_sleep: called with each fault that leads to a retry.
    """
    backoff = wait_exponential(multiplier=config.backoff_s, max=_LONGEST_BACKOFF_S)

    def wait_s(state: RetryCallState) -> float:
        """The backoff or the server's hint, plus jitter, to spread the retries."""
        backoff_s = backoff(state)
        return max(backoff_s, _hint_s(state)) + random.uniform(0.0, backoff_s)

    def is_enough(state: RetryCallState) -> bool:
        is_last = state.attempt_number >= config.max_attempts
        return is_last or _hint_s(state) > config.longest_wait_s

    return AsyncRetrying(
        retry=retry_if_exception(_is_worth_another_try),
        stop=is_enough,
        wait=wait_s,
        before_sleep=before_sleep,
        sleep=asyncio.sleep,
        reraise=True,
    )


def _hint_s(state: RetryCallState) -> float:
    return state.outcome.exception().retry_after_s or 0.0


def _is_worth_another_try(error: BaseException) -> bool:
    return isinstance(error, ChatFault) and error.fault in SENT_AGAIN
