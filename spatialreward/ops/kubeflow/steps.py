"""What a run's steps are at, gathered from the nodes that the server tells of.

The server lists every node of the workflow under a name that need not be its own alone: what
prepares a step (``STEP-driver``), each round of a loop, each attempt. Steps are those that the
pipeline names; without the pipeline, whatever looks like one.
"""

import datetime
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from spatialreward.ops.kubeflow.package import Step
from spatialreward.ops.kubeflow.records import OVER, Run, State, Task

WAITING = "WAITING"
"""Its turn has not come."""
NOT_RUN = "NOT RUN"
"""The run is over, and its turn never came."""
_DRIVER = "-driver"
_INNER = frozenset({"root", "iteration", "iteration-item"})
"""Nodes that are prepared as steps are, but are the graph or a round of a loop."""
# Of several rounds: the first of these that one of them is at.
_FIRST_OF = (
    State.RUNNING,
    State.CANCELING,
    State.PAUSED,
    State.FAILED,
    State.CANCELED,
    State.PENDING,
)


class StepProgress(NamedTuple):
    """What one step is at; a step of a loop is one, however many rounds it has."""

    name: str
    state: str
    """A state of the server's, ``WAITING`` or ``NOT RUN``."""
    rounds: int = 0
    """How often it was begun."""
    rounds_over: int = 0
    started: datetime.datetime | None = None
    ended: datetime.datetime | None = None
    pods: tuple[str, ...] = ()
    """As far as the server names them."""
    failed_attempts: int = 0
    """As far as the server tells."""
    error: str = ""

    def seconds(self, now: datetime.datetime) -> float | None:
        """How long it has taken until its end, or until now."""
        if self.started is None:
            return None
        return max(0.0, ((self.ended or now) - self.started).total_seconds())

    def as_json(self, now: datetime.datetime) -> dict[str, Any]:
        """For programs."""
        times = {"started": self.started, "ended": self.ended}
        return {
            **self._asdict(),
            **{name: time and time.isoformat() for name, time in times.items()},
            "seconds": self.seconds(now),
        }


def progress_of(run: Run, steps: Sequence[Step]) -> list[StepProgress]:
    """What each step is at.

    Args:
        run: with its tasks.
        steps: of its pipeline, in the order in which to tell of them; empty if they are not known.
    """
    wanted = steps or list(_guessed(run))
    return [_progress(step, run) for step in wanted]


def _guessed(run: Run) -> Iterator[Step]:
    found = {}
    for task in sorted(run.tasks, key=lambda task: (task.start_time is None, task.start_time)):
        name = task.display_name
        # The workflow itself has a name with a random ending and nothing that prepares it.
        prepared = any(other.display_name == f"{name}{_DRIVER}" for other in run.tasks)
        if prepared and name not in _INNER:
            found.setdefault(name, Step(name, name))
    return iter(found.values())


def _progress(step: Step, run: Run) -> StepProgress:
    rounds = [task for task in run.tasks if task.display_name == step.key]
    drivers = [task for task in run.tasks if task.display_name == f"{step.key}{_DRIVER}"]
    broken = [task for task in drivers if task.state in (State.FAILED, State.CANCELED)]
    begun = [task for task in rounds if task.state]
    if not begun and not broken:
        preparing = any(task.state in (State.PENDING, State.RUNNING) for task in drivers)
        state = State.PENDING if preparing else WAITING
        return StepProgress(step.name, NOT_RUN if run.is_over else state)
    told = [*begun, *broken]
    starts = [task.start_time for task in told if task.start_time]
    ends = [task.end_time for task in told]
    is_over = all(task.state in OVER for task in told)
    known_ends = [end for end in ends if end]
    return StepProgress(
        name=step.name,
        state=_common_state([task.state for task in told]),
        rounds=len(told),
        rounds_over=sum(task.state in OVER for task in told),
        started=min(starts, default=None),
        ended=max(known_ends) if is_over and known_ends else run.finished_at,
        pods=tuple(task.pod for task in told if task.pod),
        failed_attempts=sum(task.failed_attempts for task in told),
        error=_error(begun, broken),
    )


def _common_state(states: Sequence[str]) -> str:
    for state in _FIRST_OF:
        if state in states:
            return state
    unknown = [state for state in states if state not in OVER]
    if unknown:
        return unknown[0]
    return State.SUCCEEDED if State.SUCCEEDED in states else State.SKIPPED


def _error(begun: Sequence[Task], broken: Sequence[Task]) -> str:
    failed = [task for task in begun if task.state in (State.FAILED, State.CANCELED)]
    said = next((task.failure for task in failed if task.failure), "")
    if said or failed or not broken:
        return said
    return broken[0].failure or "could not be prepared: its driver failed"
