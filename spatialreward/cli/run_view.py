"""Runs and their steps for people: tables, a live one on a terminal, a line a change elsewhere."""

import datetime
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import typer
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from spatialreward.ops.kubeflow.states import OVER, moment, outcome, printable
from spatialreward.ops.kubeflow.steps import NOT_RUN, WAITING, StepProgress, progress_of

if TYPE_CHECKING:
    from spatialreward.ops.kubeflow.client import RecurringRun, Run
    from spatialreward.ops.kubeflow.package import Step

_COLOURS = {
    "SUCCEEDED": "green",
    "SKIPPED": "green",
    "RUNNING": "bold",
    "FAILED": "bold red",
    "CANCELED": "yellow",
    "CANCELING": "yellow",
    WAITING: "dim",
    NOT_RUN: "dim",
}
Clock = Callable[[], datetime.datetime]


def utc_now() -> datetime.datetime:
    """The time."""
    return datetime.datetime.now(datetime.UTC)


@contextmanager
def run_view(
    console: Console, steps: "Sequence[Step]", clock: Clock = utc_now
) -> "Iterator[LiveTable | PlainLines]":
    """A view of a run that is followed: a live table on a terminal, else lines."""
    if not console.is_terminal:
        yield PlainLines(steps, clock)
        return
    table = LiveTable(steps, clock)
    with Live(console=console, get_renderable=table.drawn, refresh_per_second=1):
        yield table


class LiveTable:
    """The steps of a run, to be drawn again and again."""

    def __init__(self, steps: "Sequence[Step]", clock: Clock) -> None:
        """Of these steps."""
        self._steps, self._clock = steps, clock
        self._run: Run | None = None
        self._silence = ""

    def update(self, run: "Run") -> None:
        """Show the run as it is now."""
        self._run, self._silence = run, ""

    def silence(self, reason: str) -> None:
        """Say that the server does not answer at present."""
        self._silence = reason

    def drawn(self) -> RenderableType:
        """The table and the run's state."""
        silence = [Text(printable(self._silence), "yellow")] if self._silence else []
        if self._run is None:
            return Group(*silence)
        table = step_table(progress_of(self._run, self._steps), self._clock())
        state = Text.assemble("run: ", styled(outcome(self._run) or "PENDING"))
        return Group(table, state, *silence)


class PlainLines:
    """A line for each change."""

    def __init__(self, steps: "Sequence[Step]", clock: Clock) -> None:
        """Of these steps."""
        self._steps, self._clock = steps, clock
        self._shown: dict[str, object] = {}

    def update(self, run: "Run") -> None:
        """Print the changes."""
        for step in progress_of(run, self._steps):
            now = (step.state, step.rounds, step.rounds_over, step.failed_attempts)
            before = self._shown.get(step.name, (WAITING, 0, 0, 0))
            if now != before and step.state != NOT_RUN:
                self._say(step.name, _in_words(step, self._clock()))
            self._shown[step.name] = now
        state = outcome(run) or "PENDING"
        if self._shown.get("") != state:
            self._say("run", state)
            self._shown[""] = state

    def silence(self, reason: str) -> None:
        """Say that the server does not answer at present."""
        self._say("no answer", reason)

    def _say(self, what: str, words: str) -> None:
        typer.echo(f"{self._clock():%H:%M:%S} {printable(what)}: {printable(words)}")


def step_table(steps: Sequence[StepProgress], now: datetime.datetime) -> Table:
    """Steps with their states; columns that the server does not fill are left out."""
    columns: dict[str, list[Any]] = {
        "Step": [step.name for step in steps],
        "State": [styled(step.state) for step in steps],
        "Rounds": [_rounds(step) for step in steps],
        "Took": [duration(step.seconds(now)) for step in steps],
        "Failed before": [str(step.failed_attempts or "") for step in steps],
        "Pod": [", ".join(step.pods) for step in steps],
        "Error": [Text(printable(step.error), "red") for step in steps],
    }
    always = ("Step", "State", "Took")
    return _table(
        {title: cells for title, cells in columns.items() if title in always or any(cells)}
    )


def run_table(runs: "Sequence[Run]") -> Table:
    """Runs, each in a row."""
    return _table(
        {
            "Run": [run.run_id for run in runs],
            "Name": [run.display_name for run in runs],
            "State": [styled(outcome(run)) for run in runs],
            "Begun (UTC)": [when(run.created_at) for run in runs],
            "Took": [took(run) for run in runs],
        }
    )


def schedule_table(schedules: "Sequence[RecurringRun]") -> Table:
    """Schedules, each in a row."""
    return _table(
        {
            "Schedule": [one.recurring_run_id for one in schedules],
            "Name": [one.display_name for one in schedules],
            "State": [one.status or "" for one in schedules],
            "When": [times_of(one) for one in schedules],
            "Made (UTC)": [when(one.created_at) for one in schedules],
        }
    )


def _table(columns: Mapping[str, Sequence[Text | str]]) -> Table:
    table = Table(show_edge=False, pad_edge=False)
    for title in columns:
        table.add_column(title, overflow="fold")
    for row in zip(*columns.values(), strict=True):
        table.add_row(*(one if isinstance(one, Text) else Text(printable(one)) for one in row))
    return table


def styled(state: str) -> Text:
    """A state in its colour."""
    return Text(printable(state), _COLOURS.get(state, ""))


def times_of(schedule: "RecurringRun") -> str:
    """When a schedule starts runs, in words."""
    trigger = schedule.trigger
    if trigger and trigger.cron_schedule:
        return f"cron {printable(trigger.cron_schedule.cron)}"
    periodic = trigger and trigger.periodic_schedule
    return f"every {printable(periodic.interval_second)} s" if periodic else ""


def took(run: "Run") -> str:
    """How long a run took, or has taken until now, in words."""
    begun, end = moment(run.created_at), moment(run.finished_at)
    if begun is None or (end is None and run.state in OVER):
        return ""
    return duration(((end or utc_now()) - begun).total_seconds())


def duration(seconds: float | None) -> str:
    """In words; empty where it is not known."""
    if seconds is None:
        return ""
    whole = int(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


def when(time: datetime.datetime | None) -> str:
    """A time in UTC; empty where there is none."""
    known = moment(time)
    return f"{known.astimezone(datetime.UTC):%Y-%m-%d %H:%M:%S}" if known else ""


def _rounds(step: StepProgress) -> str:
    return f"{step.rounds_over}/{step.rounds}" if step.rounds > 1 else ""


def _in_words(step: StepProgress, now: datetime.datetime) -> str:
    rounds = f", {_rounds(step)} rounds" if _rounds(step) else ""
    after = f" after {duration(step.seconds(now))}" if step.ended else ""
    attempts = step.failed_attempts
    before = f", {attempts} attempts failed before" if attempts else ""
    return f"{step.state}{rounds}{after}{before}{f': {step.error}' if step.error else ''}"
