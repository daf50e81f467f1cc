"""Stores a task's edits and judgements on disk as they come, so that a killed run resumes."""

import math
import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from PIL import Image
from pydantic import ValidationError

from spatialreward.editors.config import DenoisingConfig
from spatialreward.editors.interface import FlowEditor
from spatialreward.edits import Edit, EditTask
from spatialreward.errors import InvalidInputError
from spatialreward.images import encode_png, load_image
from spatialreward.judges.interface import Judging
from spatialreward.records import Judgement, Record
from spatialreward.rl.pinning import Pin
from spatialreward.rl.plain_edits import draw_of_task
from spatialreward.validation import first_problem

LINES = "judgements.jsonl"
SHEET = "sheet.png"
_UNFINISHED = ".unfinished"
_PARTIAL = ".partial"


class Line(Record):
    """The record of one edit."""

    task: str
    """The task's id; may be empty."""
    number: int
    """Of the edit, in sampling order, from 0."""
    picture: str
    """Picture file in the same folder."""
    instruction: str
    """The instruction it was drawn with."""
    judgement: Judgement


class Attempt(NamedTuple):
    """One edit with its judgement."""

    number: int
    """In sampling order, from 0."""
    instruction: str
    """The instruction it was drawn with."""
    picture: Image.Image
    judgement: Judgement

    @property
    def order(self) -> tuple[float, int]:
        """Sorts the best first, those without a judgement last, equal ones in sampling order."""
        reward = self.judgement.reward
        return (math.inf if reward is None else -reward, self.number)


class AttemptsFolder:
    """The edits of one task: in a subfolder during work, in the folder itself afterwards."""

    def __init__(self, folder: Path, task: str) -> None:
        """Use a folder and the task's id; reads and writes nothing yet."""
        self.folder = folder
        self._task = task
        self._inside = folder / _UNFINISHED

    @property
    def is_finished(self) -> bool:
        """Whether the result is complete."""
        return (self.folder / LINES).is_file()

    def drawn(self, number: int) -> Image.Image | None:
        """An edit drawn earlier; None: not drawn."""
        file = self._inside / _name(number)
        return load_image(file) if file.is_file() else None

    def keep_drawn(self, number: int, picture: Image.Image) -> None:
        """Store an edit until it is judged.

        Raises:
            InvalidInputError: the folder is not writable.
        """
        try:
            self._inside.mkdir(parents=True, exist_ok=True)
            _write(self._inside / _name(number), encode_png(picture))
        except OSError as error:
            raise InvalidInputError(f"{self.folder}: {error.strerror}") from error

    def keep_judged(self, attempts: Iterable[Attempt]) -> None:
        """Store judgements of stored edits."""
        file = self._inside / LINES
        before = file.read_text(encoding="utf-8") if file.is_file() else ""
        # A kill may truncate the last line, which then lacks a newline.
        whole = before[: before.rfind("\n") + 1]
        added = "".join(self._line(one, _name(one.number)) for one in attempts)
        _write(file, (whole + added).encode())

    def judged(self) -> list[Attempt]:
        """The edits judged so far, in sampling order.

        Raises:
            InvalidInputError: the stored files are invalid.
        """
        return self._read(self._inside)

    def finished(self) -> list[Attempt]:
        """The final edits, in the order of their names.

        Raises:
            InvalidInputError: the stored files are invalid.
        """
        return self._read(self.folder)

    def finish(
        self, named: Sequence[tuple[str, Attempt]], others: Mapping[str, Image.Image]
    ) -> None:
        """Write the final edits and further pictures under their names, and the lines last.

        Raises:
            InvalidInputError: the folder is not writable.
        """
        pictures = {name: one.picture for name, one in named} | dict(others)
        try:
            for name, picture in pictures.items():
                _write(self.folder / name, encode_png(picture))
            text = "".join(self._line(one, name) for name, one in named)
            _write(self.folder / LINES, text.encode())
        except OSError as error:
            raise InvalidInputError(f"{self.folder}: {error.strerror}") from error
        self.tidy()

    def tidy(self) -> None:
        """Remove the working subfolder."""
        shutil.rmtree(self._inside, ignore_errors=True)

    def _line(self, one: Attempt, picture: str) -> str:
        line = Line(
            task=self._task,
            number=one.number,
            picture=picture,
            instruction=one.instruction,
            judgement=one.judgement,
        )
        return line.model_dump_json() + "\n"

    def _read(self, folder: Path) -> list[Attempt]:
        file = folder / LINES
        if not file.is_file():
            return []
        *whole, _ = file.read_text(encoding="utf-8").split("\n")
        attempts = []
        for text in whole:
            try:
                line = Line.model_validate_json(text)
            except ValidationError as error:
                raise InvalidInputError(f"{file}: {first_problem(error, Line)}") from error
            picture = load_image(folder / line.picture)
            attempts.append(Attempt(line.number, line.instruction, picture, line.judgement))
        return attempts


class Drawing(NamedTuple):
    """Draws and judges edits, except those that exist already."""

    editor: FlowEditor
    judging: Judging
    denoising: DenoisingConfig
    pin: Pin
    """Requires the same judge, also across runs."""

    def complete(
        self, folder: AttemptsFolder, task: EditTask, instruction: str, numbers: range, seed: int
    ) -> list[Attempt]:
        """Edits by number, drawn together with one instruction, judged with the task's.

        Raises:
            InvalidInputError: the editor does not support the task, or the folder is not writable.
            JudgeChangedError: the judge changed.
        """
        earlier = folder.judged()
        self.pin.check([one.judgement for one in earlier])
        attempts = {one.number: one for one in earlier if one.number in numbers}
        missing = [number for number in numbers if number not in attempts]
        if missing:
            pictures = self._pictures(folder, task, instruction, numbers, seed)
            asked = [Edit.of(task, pictures[number]) for number in missing]
            judgements = self.judging.judge(asked)
            self.pin.check(judgements)
            judged = {
                number: Attempt(number, instruction, pictures[number], judgement)
                for number, judgement in zip(missing, judgements, strict=True)
            }
            folder.keep_judged(judged.values())
            attempts |= judged
        return [attempts[number] for number in numbers]

    def _pictures(
        self, folder: AttemptsFolder, task: EditTask, instruction: str, numbers: range, seed: int
    ) -> dict[int, Image.Image]:
        kept = {number: folder.drawn(number) for number in numbers}
        known = {number: picture for number, picture in kept.items() if picture is not None}
        if len(known) == len(numbers):
            return known
        asked = replace(task, instruction=instruction)
        drawn = draw_of_task(self.editor, asked, len(numbers), self.denoising, seed)
        pictures = dict(zip(numbers, drawn, strict=True))
        for number, picture in pictures.items():
            folder.keep_drawn(number, picture)
        return pictures


def _name(number: int) -> str:
    return f"{number:04}.png"


def _write(file: Path, data: bytes) -> None:
    unfinished = file.with_name(f"{file.name}{_PARTIAL}")
    unfinished.write_bytes(data)
    unfinished.replace(file)
