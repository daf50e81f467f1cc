"""Answers clients in a separate thread, to keep failing or blocking replies from judging."""

import logging
from concurrent.futures import ThreadPoolExecutor

from spatialreward.serving.waiting import Outcome, Reply

logger = logging.getLogger(__name__)


class Replies:
    """Delivers outcomes to clients one by one, in order of arrival."""

    def __init__(self) -> None:
        """Start without replies."""
        self._thread = ThreadPoolExecutor(1, "reply")

    def give(self, reply: Reply, outcome: Outcome) -> None:
        """Schedule a call of ``reply``; returns at once."""
        self._thread.submit(hand_over, reply, outcome)

    def close(self) -> None:
        """Return after all replies are delivered."""
        self._thread.shutdown(wait=True)


def hand_over(reply: Reply, outcome: Outcome) -> None:
    """Call ``reply`` now; logs a failure instead of raising it."""
    try:
        reply(outcome)
    except BaseException:
        # Not even SystemExit may end a thread that others need.
        logger.exception("a request could not be answered")
