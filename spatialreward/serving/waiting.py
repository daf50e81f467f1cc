"""An open request, and its edits while they wait."""

import logging
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from spatialreward.edits import Edit
from spatialreward.judges.engines.engine import Take
from spatialreward.judges.interface import Measure
from spatialreward.records import Judgement
from spatialreward.serving.faults import RequestFault
from spatialreward.serving.requests import EncodedEdit

logger = logging.getLogger(__name__)

Outcome = list[Judgement] | RequestFault
Reply = Callable[[Outcome], None]
JudgeEach = Callable[[Take, Measure], Iterable[tuple[int, Judgement]]]
"""Takes edits while there are any; yields the number of each, in the order of taking, and its
judgement once finished."""


@dataclass(eq=False)
class Request:
    """One open request."""

    edits: Sequence[EncodedEdit]
    """As received; dropped after decoding."""
    answer: Reply
    """Called once, from any thread."""
    is_cancelled: Callable[[], bool] = lambda: False
    arrived: float = field(default_factory=time.monotonic)
    judgements: list[Judgement | None] = field(init=False)
    remaining: int = field(init=False)
    num_waiting: int = 0
    """Decoded edits that are not taken yet."""
    num_bytes: int = 0
    """Memory reserved for its pictures."""

    def __post_init__(self) -> None:
        """Start with every edit unjudged."""
        self.judgements = [None] * len(self.edits)
        self.remaining = len(self.edits)

    def has_gone(self) -> bool:
        """Whether its client has disconnected; an unknown state counts as connected."""
        try:
            return self.is_cancelled()
        except Exception:
            logger.exception("could not check whether a client has disconnected")
            return False


@dataclass(order=True)
class Waiting:
    """A decoded edit that waits for judging."""

    rank: tuple[int, int]
    """Higher priority first, then arrival."""
    request: Request = field(compare=False)
    number: int = field(compare=False)
    edit: Edit = field(compare=False)
