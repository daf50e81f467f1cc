"""How a request is sent until a server answers it, and when nothing is sent at all."""

import asyncio
import random
from collections.abc import Callable

from tenacity import AsyncRetrying, RetryCallState, retry_if_exception, wait_exponential

from spatialreward.chat.config import ChatServer
from spatialreward.chat.faults import SENT_AGAIN, ChatFault

_LONGEST_BACKOFF_S = 60.0


class Pause:
    """Keeps all requests back when the server told one of them to wait."""

    def __init__(self) -> None:
        """Begin without a pause."""
        self._until = 0.0

    def extend(self, seconds: float) -> None:
        """Ask nothing for so long from now."""
        self._until = max(self._until, asyncio.get_running_loop().time() + seconds)

    def extend_for(self, fault: ChatFault, config: ChatServer) -> None:
        """Ask nothing for as long as the server wants, if it wants no more than it may."""
        if fault.retry_after_s and fault.retry_after_s <= config.longest_wait_s:
            self.extend(fault.retry_after_s)

    async def wait(self) -> None:
        """Wait until the server may be asked."""
        loop = asyncio.get_running_loop()
        while (left_s := self._until - loop.time()) > 0:
            await asyncio.sleep(left_s)


def sending_again(
    config: ChatServer, before_sleep: Callable[[RetryCallState], None]
) -> AsyncRetrying:
    """Calls what sends a request until there is an answer, or no use in another attempt.

    Args:
        config: how often, and with which waits between.
        before_sleep: is told of each fault that is followed by another attempt.
    """
    backoff = wait_exponential(multiplier=config.backoff_s, max=_LONGEST_BACKOFF_S)

    def wait_s(state: RetryCallState) -> float:
        """The backoff or the server's hint, and more at random, so that not all come at once."""
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
