"""What the API server answers, as far as we read it (Kubeflow Pipelines 2.17, API v2beta1).

Lenient where it must be: a newer server may send fields and states that we do not know, and leaves
out what is empty. Whoever wants to know whether a run is over asks ``is_over``, not the state.
"""

import datetime
from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated, Any, TypeVar

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    ValidationError,
    model_validator,
)

from spatialreward.ops.kubeflow.errors import NotKubeflowPipelines

_EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)


class State(StrEnum):
    """States that we act on; others are shown as they are."""

    PENDING = "PENDING"
    RUNNING = "RUNNING"
    SUCCEEDED = "SUCCEEDED"
    SKIPPED = "SKIPPED"
    FAILED = "FAILED"
    CANCELING = "CANCELING"
    CANCELED = "CANCELED"
    PAUSED = "PAUSED"


OVER = frozenset({State.SUCCEEDED, State.SKIPPED, State.FAILED, State.CANCELED})
_NO_STATE = "RUNTIME_STATE_UNSPECIFIED"


def _known_time(value: datetime.datetime | None) -> datetime.datetime | None:
    """A time, or None for the beginnings of time that the server sends for "not yet"."""
    return None if value is None or value <= _EPOCH else value


def printable(text: str) -> str:
    """What a server said, without what would take hold of a terminal."""
    return "".join(letter if letter.isprintable() else " " for letter in text)


Time = Annotated[AwareDatetime | None, AfterValidator(_known_time)]
Word = Annotated[str, AfterValidator(printable)]
"""An id or a state, which gets into messages and command lines."""
StateName = Annotated[Word, BeforeValidator(lambda value: "" if value == _NO_STATE else str(value))]


class Answer(BaseModel):
    """Base of what is read: frozen, open to fields of newer servers."""

    model_config = ConfigDict(frozen=True, extra="ignore", use_attribute_docstrings=True)

    @model_validator(mode="before")
    @classmethod
    def _without_nulls(cls, values: Any) -> Any:
        if isinstance(values, Mapping):
            return {name: value for name, value in values.items() if value is not None}
        return values


AnAnswer = TypeVar("AnAnswer", bound=Answer)


class Health(Answer):
    """How the server is set up."""

    multi_user: bool = False
    """Whether runs belong to namespaces, one of which must be named."""


class Status(Answer):
    """An error (``google.rpc.Status``)."""

    code: int = 0
    message: str = ""


class RuntimeStatus(Answer):
    """A state that a run or a task went through."""

    update_time: Time = None
    state: StateName = ""
    error: Status | None = None


class ExecutorDetail(Answer):
    """Jobs that did a task."""

    main_job: str = ""
    failed_main_jobs: tuple[str, ...] = ()


class Task(Answer):
    """One node of a run's graph: a step, what prepares it, a loop, or an attempt at a step."""

    task_id: str = ""
    display_name: str = ""
    start_time: Time = None
    end_time: Time = None
    state: StateName = ""
    error: Status | None = None
    state_history: tuple[RuntimeStatus, ...] = ()
    executor_detail: ExecutorDetail | None = None
    pod_name: str = ""

    @property
    def failure(self) -> str:
        """Why it failed, if the server says so."""
        return last_error(self.error, self.state_history)

    @property
    def pod(self) -> str:
        """The pod that did it, if the server says so."""
        return self.pod_name or (self.executor_detail.main_job if self.executor_detail else "")

    @property
    def failed_attempts(self) -> int:
        """Attempts before the last one, if the server says so."""
        return len(self.executor_detail.failed_main_jobs) if self.executor_detail else 0


class RunDetails(Answer):
    """A run's tasks."""

    task_details: tuple[Task, ...] = ()


class VersionReference(Answer):
    """Which pipeline version a run was made of."""

    pipeline_id: str = ""
    pipeline_version_id: str = ""


class RuntimeConfig(Answer):
    """A run's parameters."""

    parameters: Mapping[str, Any] = {}


class MetadataValue(Answer):
    """A value that a plugin of the server notes about a run."""

    value: Any = None


class PluginOutput(Answer):
    """What a plugin of the server notes about a run."""

    entries: Mapping[str, MetadataValue] = {}


class Run(Answer):
    """A run of a pipeline."""

    run_id: Word = ""
    display_name: str = ""
    description: str = ""
    experiment_id: str = ""
    recurring_run_id: str = ""
    storage_state: str = ""
    created_at: Time = None
    scheduled_at: Time = None
    finished_at: Time = None
    state: StateName = ""
    error: Status | None = None
    state_history: tuple[RuntimeStatus, ...] = ()
    run_details: RunDetails = RunDetails()
    runtime_config: RuntimeConfig = RuntimeConfig()
    pipeline_version_reference: VersionReference | None = None
    pipeline_spec: Mapping[str, Any] | None = None
    plugins_output: Mapping[str, PluginOutput] = {}

    @property
    def tasks(self) -> tuple[Task, ...]:
        """Everything in its graph that the server tells of."""
        return self.run_details.task_details

    @property
    def is_over(self) -> bool:
        """Whether it has come to its end."""
        return self.state in OVER

    @property
    def outcome(self) -> str:
        """Its state; the server calls a run failed that was canceled, though its history knows."""
        at_work = [one.state for one in self.state_history if one.state and one.state not in OVER]
        # It may have been canceled once, and have failed when it was retried.
        was_canceled = at_work[-1:] == [State.CANCELING]
        return State.CANCELED if self.state == State.FAILED and was_canceled else self.state

    @property
    def failure(self) -> str:
        """Why it failed, if the server says so."""
        return last_error(self.error, self.state_history)


class Pipeline(Answer):
    """A pipeline: a name for its versions."""

    pipeline_id: str
    name: str = ""
    display_name: str = ""


class PipelineVersion(Answer):
    """What was uploaded at one time."""

    pipeline_id: str = ""
    pipeline_version_id: str
    name: str = ""
    display_name: str = ""
    pipeline_spec: Mapping[str, Any] | None = None


class Experiment(Answer):
    """A name that runs are found under."""

    experiment_id: str
    display_name: str = ""


class CronSchedule(Answer):
    """At times of the calendar."""

    cron: str = ""


class PeriodicSchedule(Answer):
    """At regular intervals."""

    interval_second: int = 0


class Trigger(Answer):
    """When a schedule starts runs."""

    cron_schedule: CronSchedule | None = None
    periodic_schedule: PeriodicSchedule | None = None

    def __str__(self) -> str:
        """In words."""
        if self.cron_schedule is not None:
            return f"cron {self.cron_schedule.cron}"
        if self.periodic_schedule is not None:
            return f"every {self.periodic_schedule.interval_second} s"
        return ""


class RecurringRun(Answer):
    """A schedule that starts runs."""

    recurring_run_id: Word
    display_name: str = ""
    description: str = ""
    status: str = ""
    created_at: Time = None
    trigger: Trigger = Trigger()


def read(kind: type[AnAnswer], answer: Mapping[str, Any], server: str) -> AnAnswer:
    """Read an answer.

    Raises:
        NotKubeflowPipelines: it is no such thing; names the server and the field.
    """
    try:
        return kind.model_validate(answer)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        field = printable(".".join(map(str, first["loc"]))) or "the answer"
        raise NotKubeflowPipelines(
            f"{server}: its answer is no {kind.__name__} of the API v2beta1: "
            f"{field}: {first['msg']}"
        ) from error


def last_error(error: Status | None, history: tuple[RuntimeStatus, ...]) -> str:
    """The latest word on what went wrong; empty if there is none."""
    errors = [error, *(one.error for one in reversed(history))]
    return next((" ".join(one.message.split()) for one in errors if one and one.message), "")
