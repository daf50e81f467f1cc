"""A request under way, and its edits while they wait to be judged."""

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
"""Takes edits as long as there are any; gives the number of each, in the order in which they were
taken, and its judgement as it is there."""


@dataclass(eq=False)
class Request:
    """One request under way."""

    edits: Sequence[EncodedEdit]
    """As they came; given up once they are decoded."""
    answer: Reply
    """Is called once, from any thread."""
    is_cancelled: Callable[[], bool] = lambda: False
    arrived: float = field(default_factory=time.monotonic)
    judgements: list[Judgement | None] = field(init=False)
    remaining: int = field(init=False)
    num_waiting: int = 0
    """Edits that are decoded and not taken yet."""
    num_bytes: int = 0
    """What is reserved for its pictures."""

    def __post_init__(self) -> None:
        """Nothing is judged yet."""
        self.judgements = [None] * len(self.edits)
        self.remaining = len(self.edits)

    def has_gone(self) -> bool:
        """Whether its client has gone away; one that cannot be asked counts as there."""
        try:
            return self.is_cancelled()
        except Exception:
            logger.exception("a client could not be asked whether it has gone away")
            return False


@dataclass(order=True)
class Waiting:
    """An edit that is decoded and waits to be judged."""

    rank: tuple[int, int]
    """Higher priority first, then arrival."""
    request: Request = field(compare=False)
    number: int = field(compare=False)
    edit: Edit = field(compare=False)
