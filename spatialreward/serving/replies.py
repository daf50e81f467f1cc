"""Answers clients in a thread of its own, so that a reply that fails or blocks harms no judging."""

import logging
from concurrent.futures import ThreadPoolExecutor

from spatialreward.serving.waiting import Outcome, Reply

logger = logging.getLogger(__name__)


class Replies:
    """Hands outcomes to clients one by one, in the order in which they came."""

    def __init__(self) -> None:
        """Start with nothing to say."""
        self._thread = ThreadPoolExecutor(1, "reply")

    def give(self, reply: Reply, outcome: Outcome) -> None:
        """Call ``reply`` later; returns at once."""
        self._thread.submit(hand_over, reply, outcome)

    def close(self) -> None:
        """Return when everything is said."""
        self._thread.shutdown(wait=True)


def hand_over(reply: Reply, outcome: Outcome) -> None:
    """Call ``reply`` now; a failure is logged and goes no further."""
    try:
        reply(outcome)
    except BaseException:
        # Not even SystemExit may end a thread that others need.
        logger.exception("a request could not be answered")
