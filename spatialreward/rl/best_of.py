"""Best of N: draw several edits of a task, have them judged, put them in order."""

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
    """What came out of one task."""

    task: EditTask
    folder: Path
    """Has the edits in the order of their ranks, their judgements, and a sheet."""
    best: Attempt
    best_picture: Path
    rewards: tuple[float, ...]
    """As drawn; edits without a judgement are left out."""
    num_failed: int
    """Edits without a judgement."""


def best_of(
    editor: FlowEditor,
    judging: Judging,
    tasks: Iterable[EditTask],
    total: int,
    config: BestOfConfig,
    out: Path,
) -> Iterator[Chosen]:
    """Draw ``config.num_edits`` edits of each task and rank them by the judge's reward.

    Edits are kept as they are drawn and as they are judged: the same call goes on after a kill. A
    single task has ``out`` to itself, several have a folder each inside.

    Args:
        editor: draws.
        judging: its rewards are the order; edits that it fails on come last.
        tasks: what is edited.
        total: their number.
        config: how many, and how.
        out: gets ``01.png`` and so on, best first, ``judgements.jsonl`` and ``sheet.png``.

    Raises:
        InvalidInputError: a task is none for this editor, or ``out`` cannot be written to.
        JudgeChangedError: another judge than before judges, also than before a kill.
        ServingError: a served judge could not be asked; so other judges' errors.
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
    """The folder of one of several tasks, whatever its id is made of."""
    name = _UNFIT_FOR_FILES.sub("_", task.id)[:_LONGEST_NAME]
    return f"{number + 1:04}-{name}" if name else f"{number + 1:04}"


def sheet_of(task: EditTask, attempts: Sequence[Attempt]) -> Image.Image:
    """A row an edit, with the instruction that it was drawn with."""
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
