"""Many edits at a time behind a plain iterator, with results in the order of the edits.

The event loop runs in a thread of its own, so that requests go on while the caller is busy; edits
are read in the caller's thread, a bounded number ahead.
"""

import itertools
import logging
import math
import time
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Iterator
from concurrent.futures import Future, wait
from contextlib import closing
from pathlib import Path
from typing import Generic, TypeVar

from anyio.from_thread import BlockingPortal, start_blocking_portal

from spatialreward.chat.keys import key_of
from spatialreward.data.edits import Rejected
from spatialreward.data.teacher.asking import Asker
from spatialreward.data.teacher.config import TeacherConfig
from spatialreward.data.teacher.faults import (
    UNANSWERED,
    BudgetSpent,
    OutOfTime,
    TeacherAway,
    TeacherStopped,
)
from spatialreward.data.teacher.ledger import Ledger
from spatialreward.data.teacher.usage import Tally, TeacherUsage

logger = logging.getLogger(__name__)
Item = TypeVar("Item")
Result = TypeVar("Result")
Work = Callable[[Asker, Item, Tally], Awaitable[Result | Rejected]]

# Edits of different length overlap; with twice as many begun as are asked about, none waits.
_BEGUN_A_REQUEST = 2


def ask_in_order(
    items: Iterable[Item],
    work: Work[Item, Result],
    config: TeacherConfig,
    ledger: Path,
    *,
    total: int | None = None,
) -> Iterator[tuple[Result | Rejected, TeacherUsage]]:
    """Work on all items, lazily; see ``annotate_all`` for arguments and errors."""
    key_of(config)
    return _Run(config, work, total).over(items, ledger)


class _Run(Generic[Item, Result]):
    def __init__(self, config: TeacherConfig, work: Work[Item, Result], total: int | None) -> None:
        self._config = config
        self._work = work
        self._total = total
        self._done = 0
        self._unanswered = 0
        self._usage = TeacherUsage()
        self._ends_at = math.inf

    def over(
        self, items: Iterable[Item], path: Path
    ) -> Iterator[tuple[Result | Rejected, TeacherUsage]]:
        if self._config.deadline_s is not None:
            self._ends_at = time.monotonic() + self._config.deadline_s
        begun: deque[Future] = deque()
        source = iter(items)
        with closing(Ledger(path)) as ledger, start_blocking_portal(name="teacher") as portal:
            asker = Asker(self._config, ledger)
            try:
                while self._begin(begun, source, portal, asker):
                    result, usage = self._result_of(begun[0])
                    begun.popleft()
                    self._count(result, usage)
                    yield result, usage
                    self._check_that_it_answers(result)
            except TeacherStopped as stop:
                if isinstance(stop, BudgetSpent):
                    # Requests under way are paid for: let their answers arrive in the ledger.
                    wait([portal.start_task_soon(asker.finish)], timeout=self._left_s())
                stop.left = self._count_left(begun, source)
                stop.usage = self._usage
                raise
            finally:
                for future in begun:
                    future.cancel()
                portal.call(asker.close)
        logger.info("teacher: %s", self._usage)

    def _begin(
        self, begun: deque[Future], source: Iterator[Item], portal: BlockingPortal, asker: Asker
    ) -> bool:
        """Begin as many edits as there is room for; False if none is left."""
        room = _BEGUN_A_REQUEST * self._config.concurrency - len(begun)
        for item in itertools.islice(source, room):
            begun.append(portal.start_task_soon(self._one, asker, item))
        return bool(begun)

    async def _one(self, asker: Asker, item: Item) -> tuple[Result | Rejected, TeacherUsage]:
        tally = Tally()
        return await self._work(asker, item, tally), tally.usage

    def _result_of(self, first: Future) -> tuple[Result | Rejected, TeacherUsage]:
        wait([first], timeout=self._left_s())
        if not first.done():
            raise OutOfTime(f"teacher: the run has taken {self._config.deadline_s:.3g} s")
        return first.result()

    def _left_s(self) -> float | None:
        """Seconds until the run must end; None: it need not."""
        return None if self._ends_at == math.inf else max(0.0, self._ends_at - time.monotonic())

    def _count(self, result: Result | Rejected, usage: TeacherUsage) -> None:
        self._done += 1
        self._usage += usage
        is_unanswered = isinstance(result, Rejected) and result.reason in UNANSWERED
        self._unanswered = self._unanswered + 1 if is_unanswered else 0

    def _check_that_it_answers(self, last: Result | Rejected) -> None:
        if self._config.give_up_after is None or self._unanswered < self._config.give_up_after:
            return
        assert isinstance(last, Rejected), "an edit without an answer is rejected"
        raise TeacherAway(
            f"teacher {self._config.base_url}: {self._unanswered} edits in a row got no answer; "
            f"the last one, {last.id}: {last.detail}"
        )

    def _count_left(self, begun: deque[Future], source: Iterator[Item]) -> int:
        if self._total is not None:
            return self._total - self._done
        return len(begun) + sum(1 for _ in source)
