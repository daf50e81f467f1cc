"""What an editor is asked to do in RL: source pictures and instructions, step by step."""

import itertools
from pathlib import Path
from typing import Protocol

from spatialreward.data.dataset import Dataset
from spatialreward.editors.interface import EditTask
from spatialreward.world.config import DataConfig
from spatialreward.world.drawing import draw_sample, photo_names

# Far behind the samples that judge and editor were trained on, in the same stream.
_FIRST_PROMPT = 10_000_000


class PromptSource(Protocol):
    """Tasks without end, found again by the number of their step."""

    def batch(self, step: int) -> list[EditTask]:
        """The tasks of a step, counted from 0; the same ones whenever they are asked for."""
        ...


class WorldPrompts:
    """Tasks of the generated world that no training set of it holds."""

    def __init__(self, world: DataConfig, size: int) -> None:
        """Draw ``size`` tasks a step.

        Raises:
            InvalidInputError: a photo of the settings cannot be read.
        """
        self._world = world
        self._size = size
        self._photos = photo_names(Path(world.photos)) if world.photos else ()

    def batch(self, step: int) -> list[EditTask]:
        """See ``PromptSource``."""
        first = _FIRST_PROMPT + step * self._size
        samples = (
            draw_sample(self._world, "train", number, self._photos)
            for number in range(first, first + self._size)
        )
        return [EditTask(sample.images()[0], sample.instruction) for sample in samples]


class DatasetPrompts:
    """Sources and instructions of a data set, in its order, and again from its beginning.

    Labels and edited pictures play no part. Of several sources the first is the one to edit.
    """

    def __init__(self, data: Dataset, size: int) -> None:
        """Read ``size`` tasks a step."""
        self._data = data
        self._size = size

    def batch(self, step: int) -> list[EditTask]:
        """See ``PromptSource``.

        Raises:
            InvalidInputError: a row is no edit, or its source cannot be decoded.
        """
        edits = itertools.islice(self._data.endlessly(step * self._size), self._size)
        return [EditTask(edit.source_images()[0], edit.instruction) for edit in edits]
