"""Draws an editor's edits of a benchmark into the folder layout of its public scripts.

Each task's noise depends on the seed and the task's id: compared editors start from the same noise,
and a resumed run draws the rest unchanged. Beside the pictures lie ``run.json``, which identifies
them, and ``rows.jsonl`` with a line for each drawn picture: its settings, and the seconds it took.
"""

import hashlib
import logging
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, NamedTuple

import torch
from PIL import Image

from spatialreward.benchmarks.editors.config import DrawingSettings
from spatialreward.benchmarks.editors.interface import EditorTask
from spatialreward.benchmarks.editors.pictures import EditedPictures
from spatialreward.benchmarks.rows import Rows, open_rows
from spatialreward.editors.interface import FlowEditor
from spatialreward.editors.load import open_editor
from spatialreward.editors.sampling import draw_edits, times_of
from spatialreward.edits import EditTask
from spatialreward.errors import InvalidInputError
from spatialreward.images import decode_image
from spatialreward.progress import track
from spatialreward.records import Record

logger = logging.getLogger(__name__)

_SEEDS = 2**63


class DrawnRecord(Record):
    """Identity of a folder of pictures."""

    version: Literal[1] = 1
    """Version of the folder's format."""
    benchmark: str
    digest: str
    """Of the benchmark's tasks."""
    weights: str
    """SHA-256 of the editor's checkpoint."""
    sampling: DrawingSettings


class DrawnRow(Record):
    """How one task's picture was drawn."""

    task: str
    times: tuple[float, ...]
    """Of its steps, 0 noise and 1 data; they may depend on the picture's size."""
    editor: dict[str, Any]
    """The editor's own settings, such as its guidance scales."""
    device: str
    seconds: float
    """From source and instruction to the picture in memory."""


class Drawn(NamedTuple):
    """Pictures of a benchmark."""

    rows: tuple[DrawnRow, ...]
    """Of the existing pictures, in drawing order."""
    refused: dict[str, str]
    """Tasks that the editor does not support, and why."""


def draw_pictures(
    checkpoint: Path, pictures: EditedPictures, weights: str, settings: DrawingSettings
) -> Drawn:
    """Draw the missing pictures; loads the editor only if there are any.

    Args:
        checkpoint: the editor's.
        pictures: receives them, the sources if the layout includes them, and their identity;
            new, or the folder of the same editor, benchmark and settings.
        weights: digest of the checkpoint.
        settings: how to draw edits.

    Raises:
        InvalidInputError: there is no such editor, or the folder is another run's or in use.
    """
    benchmark = pictures.benchmark
    record = DrawnRecord(
        benchmark=benchmark.name,
        digest=benchmark.published.digest,
        weights=weights,
        sampling=settings,
    )
    tasks = benchmark.published.tasks
    refused: dict[str, str] = {}
    with open_rows(pictures.folder, record, DrawnRow) as rows:
        to_draw = [task for task in tasks if not pictures.of(task).path.is_file()]
        if to_draw:
            drawing = _draw_all(
                open_editor(checkpoint, settings.editor), pictures, to_draw, settings, rows
            )
            what = f"{checkpoint.name} draws {benchmark.name}"
            refused.update(filter(None, track(drawing, total=len(to_draw), description=what)))
        # Redraw a deleted picture: its last row describes the existing one.
        known = {one.task: one for one in rows.known}
    return Drawn(tuple(known.values()), refused)


def _draw_all(
    editor: FlowEditor,
    pictures: EditedPictures,
    tasks: list[EditorTask],
    settings: DrawingSettings,
    rows: Rows[DrawnRow],
) -> Iterator[tuple[str, str] | None]:
    """None for each drawn task, else its id and the reason."""
    for task in tasks:
        begin = time.monotonic()
        try:
            source, edited, times = _draw(editor, task, settings)
        except InvalidInputError as error:
            logger.warning("task %s: not drawn: %s", task.id, error)
            yield task.id, str(error)
            continue
        row = DrawnRow(
            task=task.id,
            times=tuple(times),
            editor=dict(editor.settings),
            device=str(editor.device),
            seconds=time.monotonic() - begin,
        )
        if (place := pictures.benchmark.source_place(task)) is not None:
            _save(source, pictures.folder / place)
        _save(edited, pictures.of(task).path)
        rows.add([row])
        yield None


def _draw(
    editor: FlowEditor, task: EditorTask, settings: DrawingSettings
) -> tuple[Image.Image, Image.Image, list[float]]:
    """The source, an edit of it, and the times of its steps.

    Raises:
        InvalidInputError: the editor does not support the task, or its latents are invalid.
    """
    source = decode_image(task.source.read(), task.source.where)
    asked = EditTask([source], task.instruction, id=task.id, operation=task.task_type)
    with torch.no_grad():
        condition = editor.encode([asked])
        generator = torch.Generator().manual_seed(_seed(settings.seed, task.id))
        latents = draw_edits(editor, condition, settings, generator)
        if not torch.isfinite(latents).all():
            raise InvalidInputError(f"task {task.id}: the editor's latents are NaN or infinite")
        [edited] = editor.decode(latents, condition)
    return source, edited, times_of(editor, settings, condition)


def _seed(seed: int, task: str) -> int:
    digest = hashlib.sha256(f"{seed}\n{task}".encode()).digest()
    return int.from_bytes(digest[:8], "big") % _SEEDS


def _save(picture: Image.Image, path: Path) -> None:
    """Write a PNG atomically, so that an existing file is complete."""
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_suffix(".partial")
    picture.save(unfinished, format="PNG")
    unfinished.replace(path)
