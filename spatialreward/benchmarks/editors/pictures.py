"""An editor's pictures of a benchmark, in the folder layout of its public scripts."""

import hashlib
from pathlib import Path
from typing import NamedTuple

from PIL import Image

from spatialreward.benchmarks.editors.interface import EditorBenchmark, EditorTask
from spatialreward.benchmarks.published import FilePicture
from spatialreward.edits import Edit
from spatialreward.errors import InvalidInputError
from spatialreward.images import decode_image


class EditedPictures(NamedTuple):
    """A folder in a benchmark's layout."""

    benchmark: EditorBenchmark
    folder: Path

    def of(self, task: EditorTask) -> FilePicture:
        """The edited picture of a task, which may be missing."""
        place = self.benchmark.place(task)
        return FilePicture(self.folder / place, str(place))

    def digest(self, task: EditorTask) -> str:
        """SHA-256 of the edited picture's file.

        Raises:
            InvalidInputError: it is missing or unreadable; names it.
        """
        return hashlib.sha256(self.of(task).read()).hexdigest()

    def edit(self, task: EditorTask, *, resize_to_source: bool) -> Edit:
        """The grader's input.

        Raises:
            InvalidInputError: a picture or the instruction is unusable; names it.
        """
        picture = self.of(task)
        source = decode_image(task.source.read(), task.source.where)
        edited = decode_image(picture.read(), picture.where)
        if resize_to_source:
            edited = edited.resize(source.size, Image.Resampling.BICUBIC)
        return Edit(source, edited, task.instruction, id=task.id, operation=task.task_type)

    def check(self) -> None:
        """Check that the folder holds results of this benchmark.

        Raises:
            InvalidInputError: it holds no picture of any task; the message names the folder next to
                it that does.
        """
        if self._has_pictures():
            return
        benchmark, folder = self.benchmark, self.folder
        below = sorted(path for path in folder.iterdir() if path.is_dir())
        near = (one for one in (folder.parent, *below) if self._replace(folder=one)._has_pictures())
        found = next(near, None)
        hint = "results of another benchmark?" if found is None else f"{found} holds them"
        raise InvalidInputError(
            f"{folder}: holds no edited picture of {benchmark.title}, expected such as "
            f"{benchmark.place(benchmark.published.tasks[0])}; {hint}"
        )

    def _has_pictures(self) -> bool:
        return any(self.of(task).path.is_file() for task in self.benchmark.published.tasks)
