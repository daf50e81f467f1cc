"""GEdit-Bench: users' requests in eleven task types, in English and in Chinese.

Reads the hub's files (``stepfun-ai/GEdit-Bench``, Arrow or Parquet). Editors' pictures are in the
public scripts' layout: ``fullset/TASK_TYPE/LANGUAGE/KEY.png`` with ``KEY_SRCIMG.png``.
"""

import re
from collections.abc import Collection, Iterator
from pathlib import Path, PurePosixPath

from spatialreward.benchmarks.editors.interface import EditorTask, EditorTasks, Grades
from spatialreward.benchmarks.editors.scoring import GEDIT_RULE, VIESCORE, Scope, figures
from spatialreward.benchmarks.interface import LeftOut, Metric
from spatialreward.benchmarks.published import (
    Row,
    digest_of,
    files_in,
    gather,
    key_of,
    table_rows,
)
from spatialreward.errors import InvalidInputError

LANGUAGES = ("en", "cn")
TASK_TYPES = (
    "background_change",
    "color_alter",
    "material_alter",
    "motion_change",
    "ps_human",
    "style_change",
    "subject-add",
    "subject-remove",
    "subject-replace",
    "text_change",
    "tone_transfer",
)
"""In the order of the published statistics."""
_COLUMNS = (
    "key",
    "task_type",
    "instruction",
    "instruction_language",
    "input_image",
    "Intersection_exist",
)
_FILE_NAME = re.compile(r"[\w-][\w.-]{0,199}")


class GeditBench:
    """The benchmark, in the requested languages."""

    name = "gedit"
    title = "GEdit-Bench"
    rules = (
        "VIEScore's min form as Step1X-Edit's statistics take it: SC and PQ are the lower of their "
        "two scores, overall is sqrt(SC * PQ) of each edit; the unweighted mean over task types; "
        "answers that cannot be read and missing edits are left out, where the scripts draw a "
        "random number or do not end"
    )
    resizes_to_source = True

    def __init__(self, published: EditorTasks) -> None:
        """Use parsed tasks, with the dropped rows."""
        self.published = published

    @classmethod
    def read(cls, folder: Path, languages: Collection[str] = LANGUAGES) -> "GeditBench":
        """Read the benchmark's files.

        Args:
            folder: holds ``*.arrow`` or ``*.parquet``, also in ``data/`` or ``train/``.
            languages: ``en``, ``cn``; skips rows of other languages.

        Raises:
            InvalidInputError: they are missing, or no row is usable.
        """
        patterns = [
            f"{place}*.{kind}" for kind in ("arrow", "parquet") for place in ("", "data/", "train/")
        ]
        tasks, left_out = gather(_rows(files_in(folder, *patterns), languages), _task)
        in_order = sorted(tasks, key=lambda task: TASK_TYPES.index(task.task_type))
        return cls(EditorTasks(tuple(in_order), left_out))

    def place(self, task: EditorTask) -> PurePosixPath:
        """See ``EditorBenchmark``."""
        return PurePosixPath("fullset", f"{task.id}.png")

    def source_place(self, task: EditorTask) -> PurePosixPath | None:
        """See ``EditorBenchmark``."""
        return PurePosixPath("fullset", f"{task.id}_SRCIMG.png")

    def score(self, grades: Grades) -> list[Metric]:
        """Overall, SC and PQ of each language and of its intersection subset, then by task type."""
        scopes = []
        for language in LANGUAGES:
            tasks = [one for one in self.published.tasks if one.labels["language"] == language]
            subset = [one for one in tasks if one.labels["intersection"] == "yes"]
            scopes += [Scope(f"_{language}", tasks)] if tasks else []
            scopes += [Scope(f"_{language}_intersection", subset, by_type=False)] if subset else []
        return figures(scopes, grades, VIESCORE, GEDIT_RULE)


def _rows(paths: list[Path], languages: Collection[str]) -> Iterator[Row | LeftOut]:
    others = {*LANGUAGES} - {*languages}
    for row in table_rows(paths, _COLUMNS):
        if isinstance(row, LeftOut) or row.fields["instruction_language"] not in others:
            yield row


def _task(row: Row) -> EditorTask:
    key, task_type = row.text("key"), row.text("task_type")
    language, instruction = row.text("instruction_language"), row.text("instruction")
    for field, value, known in (
        ("task_type", task_type, TASK_TYPES),
        ("instruction_language", language, LANGUAGES),
    ):
        if value not in known:
            raise InvalidInputError(f"{field}: expected {', '.join(known)}, got {value!r}"[:300])
    if not _FILE_NAME.fullmatch(key):
        raise InvalidInputError(f"key: expected a file's name, got {key!r}"[:200])
    is_shared = row.fields["Intersection_exist"]
    if not isinstance(is_shared, bool):
        raise InvalidInputError(f"Intersection_exist: expected true or false, got {is_shared!r}")
    source = row.picture("input_image")
    return EditorTask(
        id=f"{task_type}/{language}/{key}",
        prompt=key_of(digest_of(source), instruction),
        instruction=instruction,
        source=source,
        task_type=task_type,
        labels={"language": language, "intersection": "yes" if is_shared else "no"},
    )
