"""The interface of editor benchmarks: tasks, and scores of graded edits.

Each figure has two versions, as in the benchmarks of judges. *Reference rules* are the published
arithmetic on the grader's output; they skip missing and unreadable grades. *Ours* count a missing
edit and an unreadable grade as the worst possible. Neither uses the random numbers of the published
scripts for unreadable answers.
"""

import hashlib
from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import NamedTuple, Protocol, Self

from pydantic import model_validator

from spatialreward.benchmarks.interface import LeftOut, Metric, Picture
from spatialreward.errors import Failure
from spatialreward.records import Judgement, Record, Text


class EditorTask(NamedTuple):
    """One task for an editor."""

    id: str
    prompt: str
    """Shared by tasks of one instruction and source, which are resampled together."""
    instruction: str
    source: Picture
    task_type: str = ""
    """Kind of edit; empty if the benchmark has none."""
    labels: Mapping[str, str] = {}
    """Groups of figures, such as ``language``."""


class EditorTasks(NamedTuple):
    """A parsed benchmark."""

    tasks: tuple[EditorTask, ...]
    left_out: tuple[LeftOut, ...]

    @property
    def digest(self) -> str:
        """SHA-256 of sources, instructions and kinds; identifies the benchmark."""
        digest = hashlib.sha256()
        for one in self.tasks:
            labels = sorted(one.labels.items())
            digest.update(f"{one.id}\n{one.prompt}\n{one.task_type}\n{labels}\n".encode())
        return digest.hexdigest()


class Grade(Record):
    """A grade of one edit: a judgement, or the numbers of a rubric."""

    judgement: Judgement | None = None
    """A judge's; for a rubric only with unreadable numbers, then a failed one."""
    criteria: tuple[int, ...] | None = None
    """ImgEdit-Bench's rubric, 1..5 each, in its order, empty if unreadable. None: a judge
    graded."""
    answers: tuple[tuple[Text, ...], ...] = ((),)
    """Verbatim, by attempt and question; empty for a grader that does not expose it. The last
    attempt counts."""

    @model_validator(mode="after")
    def _is_whole(self) -> Self:
        if bool(self.criteria) == (self.judgement is not None):
            raise ValueError("expected a judgement or the numbers of a rubric")
        if self.criteria is not None and self.judgement and self.judgement.failure is None:
            raise ValueError("expected a failed judgement beside numbers that cannot be read")
        if not self.answers:
            raise ValueError("answers: expected one attempt at least")
        return self

    @property
    def failure(self) -> Failure | None:
        """Why there is no grade; None: there is one."""
        return None if self.judgement is None else self.judgement.failure


Grades = Mapping[str, Grade]
"""By the task's id; a task without a grade has no edited picture."""


class EditorBenchmark(Protocol):
    """A benchmark of editors."""

    @property
    def name(self) -> str:
        """Its name on the command line."""
        ...

    @property
    def title(self) -> str:
        """Its unambiguous name."""
        ...

    @property
    def rules(self) -> str:
        """Origin of the reference rules, in one sentence."""
        ...

    @property
    def published(self) -> EditorTasks:
        """Tasks, with the dropped rows."""
        ...

    @property
    def resizes_to_source(self) -> bool:
        """Whether its grading resizes edited pictures to their source's size."""
        ...

    def place(self, task: EditorTask) -> PurePosixPath:
        """The published scripts' path of the edited picture, below an editor's folder."""
        ...

    def source_place(self, task: EditorTask) -> PurePosixPath | None:
        """Their path of the source beside it; None: unused."""
        ...

    def score(self, grades: Grades) -> list[Metric]:
        """All figures, the most important first."""
        ...
