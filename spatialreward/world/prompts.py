"""What an editor is asked to do in RL: by a data set, or in the generated world."""

from pathlib import Path

from spatialreward.data.dataset import DatasetRef
from spatialreward.edits import EditTask
from spatialreward.rl.config import FlowGrpoConfig
from spatialreward.rl.prompts import DatasetPrompts, PromptSource
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


def open_prompts(
    config: FlowGrpoConfig, world: DataConfig, cache: Path | None = None
) -> PromptSource:
    """The tasks of the data set that the settings name, or of the generated world.

    Args:
        config: names the data set, if any, and how many tasks a step are wanted.
        world: where tasks are drawn from otherwise.
        cache: where a data set of the object store is kept; by default that of the user.

    Raises:
        InvalidInputError: there is no such data set, or a photo of the world cannot be read.
        StorageError, HubError: the data set is not handed over.
    """
    if not config.prompts:
        return WorldPrompts(world, config.num_prompts)
    return DatasetPrompts(DatasetRef.parse(config.prompts).open(cache), config.num_prompts)
