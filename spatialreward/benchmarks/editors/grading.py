"""Grades an editor's pictures of a benchmark, each once, and stores the grades as they come.

A line of ``rows.jsonl`` has its picture's digest: a replaced picture is graded again, and so is one
on which the grader's server failed. A task without a readable picture has no line.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Literal, NamedTuple

from spatialreward.benchmarks.editors.graders import Grader
from spatialreward.benchmarks.editors.interface import EditorTask, Grade
from spatialreward.benchmarks.editors.pictures import EditedPictures
from spatialreward.benchmarks.rows import Cost, Meter, Rows, open_rows
from spatialreward.benchmarks.run import check_judge
from spatialreward.edits import Edit
from spatialreward.errors import Failure, InvalidInputError
from spatialreward.progress import track
from spatialreward.records import JudgeIdentity, Record

_BATCH = 8


class GradingRecord(Record):
    """Identity of rows; rows with another record are another run's."""

    version: Literal[1] = 1
    """Version of the folder's format."""
    benchmark: str
    digest: str
    """Of the benchmark's tasks."""
    grader: JudgeIdentity
    resize_to_source: bool
    """Whether to resize edited pictures to their source's size before grading."""
    num_retries: int
    """Retries of an unreadable answer."""


class GradedEdit(Record):
    """One line of ``rows.jsonl``."""

    task: str
    picture: str
    """SHA-256 of the edited picture's file."""
    grade: Grade
    cost: Cost = Cost()
    """Its equal share of its batch."""


class Graded(NamedTuple):
    """All edits of an editor, graded."""

    record: GradingRecord
    grades: dict[str, Grade]
    """By task."""
    missing: dict[str, str]
    """Tasks without a readable edited picture, and why."""
    num_reused: int
    """Number of grades from earlier runs."""
    cost: Cost
    """Of all lines in the folder, including those of regraded edits."""
    num_asked: int
    """Number of lines in the folder."""


def grade_edits(
    pictures: EditedPictures, grader: Grader, folder: Path, record: GradingRecord
) -> Graded:
    """Grade the edits without a grade.

    Args:
        pictures: the editor's.
        grader: the grader.
        folder: receives the rows; new, or that of a run with the same record.
        record: identity of the rows.

    Raises:
        InvalidInputError: the folder is another run's, damaged or in use, or the judge changes
            during the run.
        ServerAway, ServingError: the grader's server is unreachable.
    """
    tasks = pictures.benchmark.published.tasks
    digests, missing = _digests(pictures)
    with open_rows(folder, record, GradedEdit) as rows:
        grades = {
            row.task: row.grade
            for row in rows.known
            if digests.get(row.task) == row.picture
            and row.grade.failure is not Failure.JUDGE_FAILED
        }
        num_reused = len(grades)
        still_open = [one for one in tasks if one.id in digests and one.id not in grades]
        graded = _grade_all(pictures, still_open, digests, grader, record, rows)
        what = f"{record.grader.name} grades {record.benchmark}"
        for task, row in track(graded, total=len(still_open), description=what):
            if isinstance(row, GradedEdit):
                grades[task] = row.grade
            else:
                missing[task] = str(row)
    cost = sum((row.cost for row in rows.known), Cost())
    return Graded(record, grades, missing, num_reused, cost, len(rows.known))


def _digests(pictures: EditedPictures) -> tuple[dict[str, str], dict[str, str]]:
    """Digests of edited pictures by task, and why others have none."""
    found, missing = {}, {}
    for task in pictures.benchmark.published.tasks:
        try:
            found[task.id] = pictures.digest(task)
        except InvalidInputError as error:
            missing[task.id] = str(error)
    return found, missing


def _grade_all(
    pictures: EditedPictures,
    tasks: Sequence[EditorTask],
    digests: Mapping[str, str],
    grader: Grader,
    record: GradingRecord,
    rows: Rows[GradedEdit],
) -> Iterator[tuple[str, GradedEdit | InvalidInputError]]:
    """Each task with its row, already on disk, or with the reason for having none."""
    meter = Meter(grader)
    for start in range(0, len(tasks), _BATCH):
        batch: list[Edit] = []
        for task in tasks[start : start + _BATCH]:
            try:
                batch.append(pictures.edit(task, resize_to_source=record.resize_to_source))
            except InvalidInputError as error:
                yield task.id, error
        if not batch:
            continue
        grades = grader.grade(batch)
        check_judge(record.grader, [one.judgement for one in grades if one.judgement is not None])
        share = meter.since_last().share(len(batch))
        done = [
            GradedEdit(task=edit.id, picture=digests[edit.id], grade=grade, cost=share)
            for edit, grade in zip(batch, grades, strict=True)
        ]
        rows.add(done)
        yield from ((row.task, row) for row in done)
