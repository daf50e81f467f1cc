"""The front door: edits in, annotated or rejected edits out, in the same order."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from pathlib import Path

from spatialreward.data.edits import LabelledEdit, Rejected
from spatialreward.data.teacher.annotation import annotate
from spatialreward.data.teacher.config import TeacherConfig
from spatialreward.data.teacher.in_order import ask_in_order
from spatialreward.data.teacher.usage import TeacherUsage

Measure = Callable[[LabelledEdit | Rejected, TeacherUsage], None]


def annotate_all(
    edits: Iterable[LabelledEdit],
    config: TeacherConfig,
    ledger: Path,
    *,
    total: int | None = None,
    measure: Measure | None = None,
) -> Iterator[LabelledEdit | Rejected]:
    """Annotate edits, lazily and in order, each with its annotation or the reason why it has none.

    At most twice ``config.concurrency`` edits are in memory. A caller that stops reading early
    should ``close`` the iterator; requests under way are then given up.

    Args:
        edits: with an edited picture; read in the caller's thread. Nothing is asked about those
            that have an annotation already or no source picture, which come back as they are.
        config: which server to ask, and within which limits.
        ledger: SQLite file that keeps all answers, for one process at a time; a question that it
            answers is not sent again.
        total: how many edits there are, to say how many are left when the run stops; if None, the
            rest of ``edits`` is read to count them.
        measure: called with each edit's result and usage, just before the result is handed out.

    Raises:
        InvalidInputError: the key is not set, here already; while reading: the server refused the
            key, knows no such model or wants money, or the ledger is damaged or in use.
        TeacherStopped: while reading: the budget is spent, the time is over, or the server is away
            (``BudgetSpent``, ``OutOfTime``, ``TeacherAway``); has the number of edits left.
    """
    results = ask_in_order(edits, annotate, config, ledger, total=total)
    return _measured(results, measure)


def _measured(
    results: Iterator[tuple[LabelledEdit | Rejected, TeacherUsage]], measure: Measure | None
) -> Iterator[LabelledEdit | Rejected]:
    with closing(results):
        for result, usage in results:
            if measure is not None:
                measure(result, usage)
            yield result
