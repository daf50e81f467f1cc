"""What every benchmark of editors can do: say what is to be edited, and score graded edits.

Each figure comes twice, as in the benchmarks of judges. *Reference rules* are the published
arithmetic on what the grader wrote; what it did not grade, or not readably, is left out. *Ours*
count a missing edit and an unreadable grade as the worst there is. Neither has a random number in
it, as the published scripts have for answers that they cannot read.
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
    """One thing that an editor is asked to do."""

    id: str
    prompt: str
    """The same for tasks of one instruction and source, which are resampled together."""
    instruction: str
    source: Picture
    task_type: str = ""
    """What kind of edit that is; empty where the benchmark tells none."""
    labels: Mapping[str, str] = {}
    """What figures are of, such as ``language``."""


class EditorTasks(NamedTuple):
    """A benchmark as a folder has it."""

    tasks: tuple[EditorTask, ...]
    left_out: tuple[LeftOut, ...]

    @property
    def digest(self) -> str:
        """SHA-256 of sources, instructions and kinds: the same for the same benchmark."""
        told = hashlib.sha256()
        for one in self.tasks:
            labels = sorted(one.labels.items())
            told.update(f"{one.id}\n{one.prompt}\n{one.task_type}\n{labels}\n".encode())
        return told.hexdigest()


class Grade(Record):
    """What a grader makes of one edit: a judgement, or the numbers of a rubric."""

    judgement: Judgement | None = None
    """Of a judge; of a rubric only where its numbers cannot be read, and then a failed one."""
    criteria: tuple[int, ...] | None = None
    """Of ImgEdit-Bench's rubric, 1..5 each, in its order, and none if they cannot be read. None: a
    judge graded."""
    answers: tuple[tuple[Text, ...], ...] = ((),)
    """What was written, attempt by attempt and question by question; empty of a grader that does
    not hand it out. The last attempt counts."""

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
"""By the task's id; a task without one has no edited picture."""


class EditorBenchmark(Protocol):
    """A benchmark of editors."""

    @property
    def name(self) -> str:
        """As the command line has it."""
        ...

    @property
    def title(self) -> str:
        """Which benchmark that is, without ambiguity."""
        ...

    @property
    def rules(self) -> str:
        """Whose arithmetic the reference rules are, in one sentence."""
        ...

    @property
    def published(self) -> EditorTasks:
        """Tasks and what was left out."""
        ...

    @property
    def resizes_to_source(self) -> bool:
        """Whether its grading brings edited pictures to the size of their source."""
        ...

    def place(self, task: EditorTask) -> PurePosixPath:
        """Where published scripts look for the edited picture, below an editor's folder."""
        ...

    def source_place(self, task: EditorTask) -> PurePosixPath | None:
        """Where they look for the source beside it; None: they do not."""
        ...

    def score(self, grades: Grades) -> list[Metric]:
        """All figures, the important ones first."""
        ...
