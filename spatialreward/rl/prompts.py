"""What an editor is asked to do in RL: source pictures and instructions, step by step."""

import itertools
from typing import Protocol

from spatialreward.data.dataset import Dataset
from spatialreward.data.tasks import task_of
from spatialreward.edits import EditTask


class PromptSource(Protocol):
    """Tasks without end, found again by the number of their step."""

    def batch(self, step: int) -> list[EditTask]:
        """The tasks of a step, counted from 0; the same ones whenever they are asked for."""
        ...


class DatasetPrompts:
    """The tasks of a data set, in its order, and again from its beginning.

    Labels and edited pictures play no part.
    """

    def __init__(self, data: Dataset, size: int) -> None:
        """Read ``size`` tasks a step."""
        self._data = data
        self._size = size

    def batch(self, step: int) -> list[EditTask]:
        """See ``PromptSource``.

        Raises:
            InvalidInputError: a row is no edit, or as ``task_of``.
        """
        edits = itertools.islice(self._data.endlessly(step * self._size), self._size)
        return [task_of(edit) for edit in edits]
