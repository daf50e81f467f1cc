"""How runs and their steps look: a live table on a terminal, a line a change elsewhere."""

import datetime
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Protocol, Self

import typer
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from spatialreward.ops.kubeflow.records import RecurringRun, Run, State, printable
from spatialreward.ops.kubeflow.steps import NOT_RUN, WAITING, StepProgress, progress_of

if TYPE_CHECKING:
    from spatialreward.ops.kubeflow.package import Step

_COLOURS: dict[str, str] = {
    State.SUCCEEDED: "green",
    State.SKIPPED: "green",
    State.RUNNING: "bold",
    State.FAILED: "bold red",
    State.CANCELED: "yellow",
    State.CANCELING: "yellow",
    WAITING: "dim",
    NOT_RUN: "dim",
}
Clock = Callable[[], datetime.datetime]


def utc_now() -> datetime.datetime:
    """The time."""
    return datetime.datetime.now(datetime.UTC)


class RunView(Protocol):
    """Shows a run while it is followed."""

    def __enter__(self) -> Self:
        """Begin."""
        ...

    def __exit__(self, *_: object) -> None:
        """Leave what is shown as it is."""
        ...

    def update(self, run: Run) -> None:
        """Show what it is at now."""
        ...

    def silence(self, reason: str) -> None:
        """Say that the server does not answer at present."""
        ...


def run_view(console: Console, steps: "Sequence[Step]", clock: Clock = utc_now) -> RunView:
    """The view that fits where it is shown."""
    return (LiveTable if console.is_terminal else PlainLines)(console, steps, clock)


class LiveTable:
    """A table that is drawn again and again."""

    def __init__(self, console: Console, steps: "Sequence[Step]", clock: Clock) -> None:
        """Show these steps."""
        self._steps, self._clock = steps, clock
        self._run: Run | None = None
        self._silence = ""
        self._live = Live(console=console, get_renderable=self._drawn, refresh_per_second=1)

    def __enter__(self) -> Self:
        """Begin."""
        self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Leave the last table where it is."""
        self._live.stop()

    def update(self, run: Run) -> None:
        """Show what it is at now."""
        self._run, self._silence = run, ""
        self._live.refresh()

    def silence(self, reason: str) -> None:
        """Say that the server does not answer at present."""
        self._silence = reason
        self._live.refresh()

    def _drawn(self) -> RenderableType:
        if self._run is None:
            return Text(self._silence)
        table = step_table(progress_of(self._run, self._steps), self._clock())
        state = Text.assemble("run: ", styled(self._run.outcome or State.PENDING))
        return Group(table, state, *([Text(self._silence, "yellow")] if self._silence else []))


class PlainLines:
    """A line for each change."""

    def __init__(self, console: Console, steps: "Sequence[Step]", clock: Clock) -> None:
        """Tell of these steps."""
        self._steps, self._clock = steps, clock
        self._told: dict[str, tuple[object, ...]] = {}

    def __enter__(self) -> Self:
        """Begin."""
        return self

    def __exit__(self, *_: object) -> None:
        """Nothing is open."""

    def update(self, run: Run) -> None:
        """Tell what has changed."""
        for step in progress_of(run, self._steps):
            now = (step.state, step.rounds, step.rounds_over, step.failed_attempts)
            before = self._told.get(step.name, (WAITING, 0, 0, 0))
            if now != before and step.state != NOT_RUN:
                self._say(step.name, _in_words(step, self._clock()))
            self._told[step.name] = now
        if self._told.get("") != (run.outcome,):
            self._say("run", run.outcome or State.PENDING)
            self._told[""] = (run.outcome,)

    def silence(self, reason: str) -> None:
        """Say that the server does not answer at present."""
        self._say("no answer", reason)

    def _say(self, what: str, words: str) -> None:
        typer.echo(f"{self._clock():%H:%M:%S} {printable(what)}: {printable(words)}")


def step_table(steps: Sequence[StepProgress], now: datetime.datetime) -> Table:
    """Steps with their states; columns of which the server says nothing are left out."""
    table = Table(show_edge=False, pad_edge=False)
    columns: list[tuple[str, list[Text]]] = [
        ("Step", [Text(printable(step.name)) for step in steps]),
        ("State", [styled(step.state) for step in steps]),
        ("Rounds", [Text(_rounds(step)) for step in steps]),
        ("Took", [Text(duration(step.seconds(now))) for step in steps]),
        ("Failed before", [Text(str(step.failed_attempts or "")) for step in steps]),
        ("Pod", [Text(printable(", ".join(step.pods))) for step in steps]),
        ("Error", [Text(printable(step.error), "red") for step in steps]),
    ]
    shown = [one for one in columns if one[0] in ("Step", "State", "Took") or any(one[1])]
    for title, _ in shown:
        table.add_column(title, overflow="fold")
    for row in zip(*(cells for _, cells in shown), strict=True):
        table.add_row(*row)
    return table


def run_table(runs: Sequence[Run]) -> Table:
    """Runs, each in a row."""
    table = Table(show_edge=False, pad_edge=False)
    for title in ("Run", "Name", "State", "Begun (UTC)", "Took"):
        table.add_column(title, overflow="fold")
    for run in runs:
        end = run.finished_at or (None if run.is_over else utc_now())
        took = (end - run.created_at).total_seconds() if end and run.created_at else None
        table.add_row(
            Text(run.run_id),
            Text(printable(run.display_name)),
            styled(run.outcome),
            when(run.created_at),
            duration(took),
        )
    return table


def schedule_table(schedules: Sequence[RecurringRun]) -> Table:
    """Schedules, each in a row."""
    table = Table(show_edge=False, pad_edge=False)
    for title in ("Schedule", "Name", "State", "When", "Made (UTC)"):
        table.add_column(title, overflow="fold")
    for one in schedules:
        table.add_row(
            Text(one.recurring_run_id),
            Text(printable(one.display_name)),
            Text(printable(one.status)),
            Text(printable(str(one.trigger))),
            when(one.created_at),
        )
    return table


def styled(state: str) -> Text:
    """A state in its colour."""
    return Text(printable(state), _COLOURS.get(state, ""))


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
    return "" if time is None else f"{time.astimezone(datetime.UTC):%Y-%m-%d %H:%M:%S}"


def _rounds(step: StepProgress) -> str:
    return f"{step.rounds_over}/{step.rounds}" if step.rounds > 1 else ""


def _in_words(step: StepProgress, now: datetime.datetime) -> str:
    took = duration(step.seconds(now)) if step.ended else ""
    rounds = _rounds(step)
    return "".join(
        [
            step.state,
            f", {rounds} rounds" if rounds else "",
            f" after {took}" if took else "",
            f", {step.failed_attempts} attempts failed before" if step.failed_attempts else "",
            f": {step.error}" if step.error else "",
        ]
    )
