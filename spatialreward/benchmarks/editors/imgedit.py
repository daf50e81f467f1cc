"""ImgEdit-Bench: nine types of edits (Basic), and hard cases (UGE).

A folder holds the metadata of the public repository and, unpacked, the pictures of the data set's
``Benchmark.tar``. Editors' pictures lie in one folder, ``KEY.png``. Left out: the multi-turn suite,
which people grade.
"""

import re
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

from spatialreward.benchmarks.editors.interface import EditorTask, EditorTasks, Grades
from spatialreward.benchmarks.editors.scoring import (
    IMGEDIT_RULE,
    RUBRIC,
    VIESCORE_OURS,
    Scope,
    figures,
)
from spatialreward.benchmarks.interface import Metric
from spatialreward.benchmarks.published import (
    FilePicture,
    Row,
    digest_of,
    files_in,
    gather,
    json_rows,
    key_of,
)
from spatialreward.errors import InvalidInputError
from spatialreward.reading import parse_json

EDIT_TYPES = (
    "add",
    "adjust",
    "extract",
    "replace",
    "remove",
    "background",
    "style",
    "compose",
    "action",
)
_KEY = re.compile(r"[\w-]{1,100}")


class Suite(NamedTuple):
    """One of the benchmark's suites."""

    name: str
    title: str
    metadata: tuple[str, ...]
    """Possible files of the suite; uses the first that exists."""
    pictures: tuple[str, ...]
    """Possible folders of the sources, below the metadata's."""
    types: tuple[str, ...]
    """Empty: its cases have none."""
    num_criteria: int
    """Number of scores in an answer to its grader prompt."""
    rules: str


_RULES = (
    "ImgEdit's scripts on a grader's answer to its own prompts: of each answer the mean, to two "
    "digits, of lines that end in a colon, a space and digits, and an answer without any is "
    "dropped; {}"
)
BASIC = Suite(
    "imgedit",
    "ImgEdit-Bench, Basic",
    ("basic_edit.json", "Basic/basic_edit.json", "singleturn.json"),
    ("original_images", "singleturn", "Benchmark/singleturn", "."),
    EDIT_TYPES,
    3,
    _RULES.format("means of edit types to two digits, and their unweighted mean"),
)
UGE = Suite(
    "imgedit-uge",
    "ImgEdit-Bench, UGE",
    ("UGE_edit.json", "UGE/UGE_edit.json"),
    ("original_images", "hard", "Benchmark/hard", "."),
    (),
    1,
    _RULES.format("the mean of all cases to two digits"),
)


class ImgEditBench:
    """A suite of the benchmark."""

    resizes_to_source = False

    def __init__(self, published: EditorTasks, suite: Suite) -> None:
        """Use parsed tasks, with the dropped cases."""
        self.published = published
        self.suite = suite
        self.name, self.title, self.rules = suite.name, suite.title, suite.rules

    @classmethod
    def read(cls, folder: Path, suite: Suite = BASIC) -> "ImgEditBench":
        """Read a suite's file, and check the sources beside it.

        Raises:
            InvalidInputError: they are missing, or no case is usable.
        """
        [path] = files_in(folder, *suite.metadata)
        columns = ("id", "prompt", *(("edit_type",) if suite.types else ()))
        rows = json_rows(path, columns, _cases)
        roots = [root / place for root in (path.parent, folder) for place in suite.pictures]
        return cls(EditorTasks(*gather(rows, lambda row: _task(row, suite, roots))), suite)

    def place(self, task: EditorTask) -> PurePosixPath:
        """See ``EditorBenchmark``."""
        return PurePosixPath(f"{task.id}.png")

    def source_place(self, task: EditorTask) -> PurePosixPath | None:
        """See ``EditorBenchmark``; its scripts use the benchmark's own pictures."""
        return None

    def score(self, grades: Grades) -> list[Metric]:
        """The rubric's score; for a judge without it, figures from its four scores."""
        by_rubric = any(one.criteria is not None for one in grades.values())
        measures = (RUBRIC,) if by_rubric else VIESCORE_OURS
        scope = Scope("", self.published.tasks, by_type=bool(self.suite.types))
        return figures([scope], grades, measures, IMGEDIT_RULE)


def _cases(text: str) -> Any:
    """The cases as rows, each with its key."""
    found = parse_json(text)
    if not isinstance(found, dict):
        return found
    return [one | {"key": key} if isinstance(one, dict) else one for key, one in found.items()]


def _task(row: Row, suite: Suite, roots: list[Path]) -> EditorTask:
    key, picture, instruction = row.text("key"), row.text("id"), row.text("prompt")
    task_type = row.text("edit_type") if suite.types else ""
    if suite.types and task_type not in suite.types:
        expected = ", ".join(suite.types)
        raise InvalidInputError(f"case {key}: edit_type: expected {expected}, got {task_type!r}")
    if not _KEY.fullmatch(key):
        raise InvalidInputError(f"key: expected a file's name, got {key!r}"[:200])
    if Path(picture).is_absolute() or ".." in Path(picture).parts:
        raise InvalidInputError(f"case {key}: id: {picture}: expected a path below the pictures")
    root = next((root for root in roots if (root / picture).is_file()), roots[0])
    source = FilePicture(root / picture, picture)
    return EditorTask(
        id=key,
        prompt=key_of(digest_of(source), instruction),
        instruction=instruction,
        source=source,
        task_type=task_type,
    )
