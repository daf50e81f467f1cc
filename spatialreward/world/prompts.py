"""What an editor is asked to do in RL: by a data set, or in the generated world."""

import logging
from pathlib import Path

from spatialreward.data.dataset import DatasetRef
from spatialreward.edits import EditTask
from spatialreward.rl.config import RlConfig
from spatialreward.rl.prompts import DatasetPrompts, PromptSource
from spatialreward.rl.watch_config import WatchConfig
from spatialreward.world.config import DataConfig
from spatialreward.world.drawing import draw_sample, photo_names
from spatialreward.world.labelling import edit_task

logger = logging.getLogger(__name__)

# Far behind the samples that judge and editor were trained on, in the same stream.
_FIRST_PROMPT = 10_000_000
# No training comes as far.
_FIRST_WATCHED = 1_000_000_000


class WorldPrompts:
    """Tasks of the generated world that no training set of it holds."""

    def __init__(self, world: DataConfig, size: int, first: int = _FIRST_PROMPT) -> None:
        """Draw ``size`` tasks a step, from number ``first`` of the stream on.

        Raises:
            InvalidInputError: a photo of the settings cannot be read.
        """
        self._world = world
        self._size = size
        self._first = first
        self._photos = photo_names(Path(world.photos)) if world.photos else ()

    def batch(self, step: int) -> list[EditTask]:
        """See ``rl.prompts.PromptSource``."""
        first = self._first + step * self._size
        samples = (
            draw_sample(self._world, "train", number, self._photos)
            for number in range(first, first + self._size)
        )
        return [edit_task(sample) for sample in samples]


def open_prompts(
    config: RlConfig, world: DataConfig, cache: Path | None = None
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


def open_watched(
    watch: WatchConfig, training: str, world: DataConfig, cache: Path | None = None
) -> list[EditTask]:
    """The held-out prompts that a training is watched on; none where there are no such.

    Args:
        watch: names a data set of them, if there is one, and how many are wanted.
        training: the data set that the training reads; empty: the generated world.
        world: where tasks are drawn from otherwise, behind all that a training comes to.
        cache: as for ``open_prompts``.

    Raises:
        InvalidInputError, StorageError, HubError: as ``open_prompts``.
    """
    if watch.prompts:
        data = DatasetRef.parse(watch.prompts).open(cache)
        return DatasetPrompts(data, min(watch.num_prompts, len(data))).batch(0)
    if training:
        logger.warning(
            "no watch on reward hacking: watch.prompts names no data set of held-out prompts"
        )
        return []
    return WorldPrompts(world, watch.num_prompts, _FIRST_WATCHED).batch(0)
