"""An editor's pictures of a benchmark, in the folder layout that its public scripts read."""

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
    """A folder, and the benchmark whose layout it has."""

    benchmark: EditorBenchmark
    folder: Path

    def of(self, task: EditorTask) -> FilePicture:
        """The edited picture of a task, which need not be there."""
        place = self.benchmark.place(task)
        return FilePicture(self.folder / place, str(place))

    def digest(self, task: EditorTask) -> str:
        """SHA-256 of the edited picture's file.

        Raises:
            InvalidInputError: it is not there, or cannot be read; names it.
        """
        return hashlib.sha256(self.of(task).read()).hexdigest()

    def edit(self, task: EditorTask, *, resize_to_source: bool) -> Edit:
        """What a grader is shown.

        Raises:
            InvalidInputError: a picture or the instruction cannot be used; names it.
        """
        picture = self.of(task)
        source = decode_image(task.source.read(), task.source.where)
        edited = decode_image(picture.read(), picture.where)
        if resize_to_source:
            edited = edited.resize(source.size, Image.Resampling.BICUBIC)
        return Edit(source, edited, task.instruction, id=task.id, operation=task.task_type)

    def check(self) -> None:
        """Make sure that this is a folder of results of this benchmark.

        Raises:
            InvalidInputError: it holds no picture of any of its tasks; names the folder next to it
                that does.
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
