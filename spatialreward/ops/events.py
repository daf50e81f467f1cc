"""How a step tells a run on this machine what it is at: JSON lines in a file that steps share.

The runner names the file in an environment variable. A step writes there when it starts, what it
logs, and how it ends, so the runner parses no log. Without the variable, as in a cluster, a step
writes nothing.

The file also tells a step whether one before it has failed: the first failure ends a run here.
"""

import logging
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Literal, NamedTuple, Self

from pydantic import ValidationError

from spatialreward.records import Record

FILE_VARIABLE = "SPATIALREWARD_EVENTS"
"""Environment variable with the file's path."""
LOST = "ended without a word: its process was killed, for lack of memory perhaps"
_KIND = "event"
"""Attribute of a log record that is more than something said: its kind, given as ``extra``."""

Kind = Literal["started", "said", "progress", "reused", "finished", "failed"]


class Event(Record):
    """One line of the file."""

    step: str
    """Such as ``build-shard``."""
    process: int
    """Tells apart tasks of one step, such as those of a loop."""
    kind: Kind
    text: str = ""
    """What was said, or what the step failed of."""
    seconds: float = 0.0
    """How long a finished step took."""


class Failure(NamedTuple):
    """What a run failed of first."""

    step: str
    text: str


class Teller:
    """Writes the events of one step."""

    def __init__(self, step: str, file: Path | None) -> None:
        """Write to ``file``, which all steps of a run share; None: nowhere."""
        self._step = step
        self._file = file

    @classmethod
    def of(cls, step: str) -> Self:
        """With the file that the environment names."""
        file = os.environ.get(FILE_VARIABLE)
        return cls(step, Path(file) if file else None)

    @property
    def is_heard(self) -> bool:
        """Whether there is a file to write to."""
        return self._file is not None

    def tell(self, kind: Kind, text: str = "", seconds: float = 0.0) -> None:
        """Write one event."""
        if self._file is None:
            return
        event = Event(step=self._step, process=os.getpid(), kind=kind, text=text, seconds=seconds)
        # One write to a file opened for appending is never torn by another process's.
        file = os.open(self._file, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        try:
            os.write(file, f"{event.model_dump_json()}\n".encode())
        finally:
            os.close(file)

    def failure_before(self) -> Failure | None:
        """What the run has failed of already."""
        return None if self._file is None else first_failure(read_events(self._file))


class EventHandler(logging.Handler):
    """Tells what a step logs; ``extra={"event": KIND}`` in the log call says which kind it is."""

    def __init__(self, teller: Teller) -> None:
        """Hand log records to ``teller``."""
        super().__init__()
        self._teller = teller

    def emit(self, record: logging.LogRecord) -> None:
        """Tell ``record``."""
        try:
            self._teller.tell(getattr(record, _KIND, "said"), self.format(record))
        except Exception:
            self.handleError(record)


def read_events(file: Path) -> list[Event]:
    """All whole events of a file; none if there is no such file yet."""
    try:
        text = file.read_text("utf-8")
    except FileNotFoundError:
        return []
    return parse_events(text.splitlines())


def parse_events(lines: Iterable[str]) -> list[Event]:
    """Events, one a line; what is none, such as the beginning of one, is passed over."""
    events = []
    for line in lines:
        try:
            events.append(Event.model_validate_json(line))
        except ValidationError:
            continue
    return events


def first_failure(events: Sequence[Event]) -> Failure | None:
    """The first failure that was told, else a process that is gone and did not say how it ended."""
    for event in events:
        if event.kind == "failed":
            return Failure(event.step, event.text)
    ended = {event.process for event in events if event.kind == "finished"}
    for event in events:
        if event.kind == "started" and event.process not in ended and not _is_there(event.process):
            return Failure(event.step, LOST)
    return None


def _is_there(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
