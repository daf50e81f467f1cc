"""What an editor is asked to do in RL in the generated world."""

from pathlib import Path

from spatialreward.edits import EditTask
from spatialreward.world.config import DataConfig
from spatialreward.world.drawing import draw_sample, photo_names
from spatialreward.world.labelling import edit_task

# Far behind the samples that judge and editor were trained on, in the same stream.
_FIRST_PROMPT = 10_000_000


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
        """See ``rl.prompts.PromptSource``."""
        first = _FIRST_PROMPT + step * self._size
        samples = (
            draw_sample(self._world, "train", number, self._photos)
            for number in range(first, first + self._size)
        )
        return [edit_task(sample) for sample in samples]
