"""RL prompts from a data set, or from the generated world."""

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
"""Number of RL's first prompt: far beyond the training samples of judge and editor, in the same
stream."""
# No training reaches it.
_FIRST_WATCHED = 1_000_000_000


class WorldPrompts:
    """Tasks of the generated world outside all of its training sets."""

    def __init__(self, world: DataConfig, size: int, first: int = FIRST_PROMPT) -> None:
        """Draw ``size`` tasks a step, starting at number ``first`` of the stream.

        Raises:
            InvalidInputError: a photo in the settings is unreadable.
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
    """The tasks of the configured data set or file, or of the generated world.

    Args:
        config: names the data set, if any, and the number of tasks per step.
        world: the source of tasks otherwise.
        cache: folder for data sets from the object store; default: the user's.

    Raises:
        InvalidInputError: there is no such data set, or a photo of the world is unreadable.
        StorageError, HubError: the data set cannot be downloaded.
    """
    if not config.prompts:
        return WorldPrompts(world, config.num_prompts)
    return open_named(config.prompts, config.num_prompts, cache)


def open_watched(config: RlConfig, world: DataConfig, cache: Path | None = None) -> list[EditTask]:
    """The held-out prompts for the watch of a training; empty if there are none.

    Args:
        config: names their data set or file, if any, and their number.
        world: the source of tasks otherwise, beyond those of any training.
        cache: as for ``open_prompts``.

    Raises:
        InvalidInputError, StorageError, HubError: as ``open_prompts``.
    """
    watch = config.watch
    if watch.prompts:
        named = open_named(watch.prompts, watch.num_prompts, cache)
        # A small data set repeats before there are enough.
        return named.batch(0)[: len(named)]
    if config.prompts:
        logger.warning(
            "no watch on reward hacking: rl.watch.prompts names no data set of held-out prompts"
        )
        return []
    return WorldPrompts(world, watch.num_prompts, _FIRST_WATCHED).batch(0)
