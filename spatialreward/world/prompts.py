"""What an editor is asked to do in RL: by a data set, or in the generated world."""

import logging
from pathlib import Path

from spatialreward.edits import EditTask
from spatialreward.rl.config import RlConfig
from spatialreward.rl.prompts import PromptSource, open_named
from spatialreward.world.config import DataConfig
from spatialreward.world.drawing import draw_sample, photo_names
from spatialreward.world.labelling import edit_task

logger = logging.getLogger(__name__)

FIRST_PROMPT = 10_000_000
"""Number of RL's first prompt: far behind the samples that judge and editor were trained on, in the
same stream."""
# No training comes as far.
_FIRST_WATCHED = 1_000_000_000


class WorldPrompts:
    """Tasks of the generated world that no training set of it holds."""

    def __init__(self, world: DataConfig, size: int, first: int = FIRST_PROMPT) -> None:
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


def open_prompts(config: RlConfig, world: DataConfig, cache: Path | None = None) -> PromptSource:
    """The tasks of the data set or file that the settings name, or of the generated world.

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
    return open_named(config.prompts, config.num_prompts, cache)


def open_watched(config: RlConfig, world: DataConfig, cache: Path | None = None) -> list[EditTask]:
    """The held-out prompts that a training is watched on; none where there are no such.

    Args:
        config: names a data set or file of them, if there is one, and how many are wanted.
        world: where tasks are drawn from otherwise, behind all that a training comes to.
        cache: as for ``open_prompts``.

    Raises:
        InvalidInputError, StorageError, HubError: as ``open_prompts``.
    """
    watch = config.watch
    if watch.prompts:
        named = open_named(watch.prompts, watch.num_prompts, cache)
        # A small data set begins again before there are as many.
        return named.batch(0)[: len(named)]
    if config.prompts:
        logger.warning(
            "no watch on reward hacking: rl.watch.prompts names no data set of held-out prompts"
        )
        return []
    return WorldPrompts(world, watch.num_prompts, _FIRST_WATCHED).batch(0)
