"""The progress of a run's steps, gathered from the nodes that the server lists.

The server lists every node of the workflow under a name that several may share: the driver of a
step (``STEP-driver``), each round of a loop, each attempt. Steps are those that the pipeline names;
without the pipeline, the nodes that have a driver.
"""

import datetime
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from spatialreward.ops.kubeflow.package import Step
from spatialreward.ops.kubeflow.states import OVER, failure, moment, state_of

if TYPE_CHECKING:
    from kfp_server_api import V2beta1PipelineTaskDetail as Task

    from spatialreward.ops.kubeflow.client import Run

WAITING = "WAITING"
"""The step has not begun."""
NOT_RUN = "NOT RUN"
"""The run is over, and the step never began."""
_DRIVER = "-driver"
_INNER = frozenset({"root", "iteration", "iteration-item"})
"""Nodes with a driver that are the graph or a round of a loop."""
_FIRST_OF = ("RUNNING", "CANCELING", "PAUSED", "FAILED", "CANCELED", "PENDING")
"""Of several rounds: the first of these states counts."""


class StepProgress(NamedTuple):
    """The progress of one step; a step of a loop is one, however many rounds it has."""

    name: str
    state: str
    """A state of the server's, ``WAITING`` or ``NOT RUN``."""
    rounds: int = 0
    """Rounds that began."""
    rounds_over: int = 0
    started: datetime.datetime | None = None
    ended: datetime.datetime | None = None
    pods: tuple[str, ...] = ()
    """As far as the server names them."""
    failed_attempts: int = 0
    """As far as the server counts them."""
    error: str = ""

    def seconds(self, now: datetime.datetime) -> float | None:
        """Seconds until its end, or until now."""
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


def progress_of(run: "Run", steps: Sequence[Step]) -> list[StepProgress]:
    """The progress of each step.

    Args:
        run: with its tasks.
        steps: of its pipeline, in the order of the result; empty if they are not known.
    """
    tasks = (run.run_details and run.run_details.task_details) or []
    return [_progress(step, run, tasks) for step in steps or _guessed(tasks)]


def _guessed(tasks: "Sequence[Task]") -> list[Step]:
    names = {task.display_name for task in tasks}
    begun = sorted(tasks, key=lambda task: (task.start_time is None, task.start_time))
    steps = [task.display_name for task in begun if f"{task.display_name}{_DRIVER}" in names]
    return [Step(name, name) for name in dict.fromkeys(steps) if name not in _INNER]


def _progress(step: Step, run: "Run", tasks: "Sequence[Task]") -> StepProgress:
    begun = [task for task in tasks if task.display_name == step.key and state_of(task)]
    drivers = [task for task in tasks if task.display_name == f"{step.key}{_DRIVER}"]
    broken = [task for task in drivers if state_of(task) in ("FAILED", "CANCELED")]
    rounds = [*begun, *broken]
    if not rounds:
        if run.state in OVER:
            return StepProgress(step.name, NOT_RUN)
        preparing = any(state_of(task) in ("PENDING", "RUNNING") for task in drivers)
        return StepProgress(step.name, "PENDING" if preparing else WAITING)
    states = [state_of(task) for task in rounds]
    starts = [time for task in rounds if (time := moment(task.start_time))]
    ends = [time for task in rounds if (time := moment(task.end_time))]
    is_over = all(state in OVER for state in states)
    details = [task.executor_detail for task in rounds if task.executor_detail]
    pods = [task.pod_name for task in rounds] + [detail.main_job for detail in details]
    return StepProgress(
        name=step.name,
        state=_common(states),
        rounds=len(rounds),
        rounds_over=sum(state in OVER for state in states),
        started=min(starts, default=None),
        ended=max(ends) if is_over and ends else moment(run.finished_at),
        pods=tuple(dict.fromkeys(filter(None, pods))),
        failed_attempts=sum(len(detail.failed_main_jobs or ()) for detail in details),
        error=_error(begun, broken),
    )


def _common(states: Sequence[str]) -> str:
    unknown = [state for state in states if state not in OVER]
    order = [*_FIRST_OF, *unknown, "SUCCEEDED", "SKIPPED"]
    return next(state for state in order if state in states)


def _error(begun: "Sequence[Task]", broken: "Sequence[Task]") -> str:
    failed = [task for task in begun if state_of(task) in ("FAILED", "CANCELED")]
    said = next((reason for task in failed or broken if (reason := failure(task))), "")
    return said or ("could not be prepared: its driver failed" if broken and not failed else "")
