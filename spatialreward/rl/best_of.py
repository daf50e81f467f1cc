"""Best of N: draws several edits of a task, judges them, and ranks them."""

import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from PIL import Image

from spatialreward.editors.interface import FlowEditor
from spatialreward.edits import EditTask
from spatialreward.judges.interface import Judging
from spatialreward.progress import track
from spatialreward.rl.attempts import SHEET, Attempt, AttemptsFolder, Drawing
from spatialreward.rl.choosing_config import BestOfConfig
from spatialreward.rl.pinning import Pin
from spatialreward.visuals import SheetRow, sample_sheet

_SEEDS_OF_A_TASK = 1_000_003
_UNFIT_FOR_FILES = re.compile(r"[^A-Za-z0-9._-]+")
_LONGEST_NAME = 80


class Chosen(NamedTuple):
    """The result of one task."""

    task: EditTask
    folder: Path
    """Has the edits in ranked order, their judgements, and a sheet."""
    best: Attempt
    best_picture: Path
    rewards: tuple[float, ...]
    """As drawn; omits edits without a judgement."""
    num_failed: int
    """Number of edits without a judgement."""


def best_of(
    editor: FlowEditor,
    judging: Judging,
    tasks: Iterable[EditTask],
    total: int,
    config: BestOfConfig,
    out: Path,
) -> Iterator[Chosen]:
    """Draw ``config.num_edits`` edits of each task and rank them by the judge's reward.

    Edits and judgements are stored as they come, so the same call resumes after a kill. A single
    task uses ``out`` itself, several have a subfolder each.

    Args:
        editor: samples.
        judging: its rewards give the order; edits it fails on come last.
        tasks: to edit.
        total: their number.
        config: number of edits, and sampling.
        out: receives ``01.png`` and so on, best first, ``judgements.jsonl`` and ``sheet.png``.

    Raises:
        InvalidInputError: the editor does not support a task, or ``out`` is not writable.
        JudgeChangedError: the judge changed, also since a killed run.
        ServingError: a served judge is unreachable; plus other judges' errors.
    """
    starts = range(0, config.num_edits, config.num_at_once)
    works = ((number, task, first) for number, task in enumerate(tasks) for first in starts)
    pin = Pin("ranking", "use a new folder")
    drawing = Drawing(editor, judging, config.denoising, pin)
    for number, task, first in track(works, total=total * len(starts), description="best-of"):
        place = out if total == 1 else out / folder_name(number, task)
        folder = AttemptsFolder(place, task.id)
        is_last = first == starts[-1]
        if not folder.is_finished:
            numbers = range(first, min(first + config.num_at_once, config.num_edits))
            seed = config.seed * _SEEDS_OF_A_TASK + first
            drawing.complete(folder, task, task.instruction, numbers, seed)
            if is_last:
                _rank(task, config, folder)
        if is_last:
            folder.tidy()
            ranked = folder.finished()
            pin.check([one.judgement for one in ranked])
            yield _chosen(task, folder.folder, ranked)


def folder_name(number: int, task: EditTask) -> str:
    """A safe folder name for one of several tasks, for any id."""
    name = _UNFIT_FOR_FILES.sub("_", task.id)[:_LONGEST_NAME]
    return f"{number + 1:04}-{name}" if name else f"{number + 1:04}"


def sheet_of(task: EditTask, attempts: Sequence[Attempt]) -> Image.Image:
    """One row per edit, with its instruction."""
    return sample_sheet(
        [SheetRow(task.sources[0], one.picture, one.instruction, one.judgement) for one in attempts]
    )


def _rank(task: EditTask, config: BestOfConfig, folder: AttemptsFolder) -> None:
    ranked = sorted(folder.judged(), key=lambda one: one.order)
    named = [(_picture_name(rank, len(ranked)), one) for rank, one in enumerate(ranked, start=1)]
    folder.finish(named, {SHEET: sheet_of(task, ranked[: config.num_sheet_rows])})


def _picture_name(rank: int, count: int) -> str:
    digits = max(2, len(str(count)))
    return f"{rank:0{digits}}.png"


def _chosen(task: EditTask, folder: Path, ranked: Sequence[Attempt]) -> Chosen:
    as_drawn = sorted(ranked, key=lambda one: one.number)
    rewards = [one.judgement.reward for one in as_drawn]
    return Chosen(
        task,
        folder,
        ranked[0],
        folder / _picture_name(1, len(ranked)),
        tuple(reward for reward in rewards if reward is not None),
        rewards.count(None),
    )
