"""Edits of the generated world as a source, with known regions and scores."""

from collections.abc import Iterator
from typing import Any

from spatialreward.data.edits import LabelledEdit, Rejected
from spatialreward.data.sources.config import WorldSource
from spatialreward.data.sources.sharding import contiguous
from spatialreward.world.drawing import draw_samples, origin_of
from spatialreward.world.labelling import scene_edit


class WorldEdits:
    """Samples of one split, drawn on demand."""

    def __init__(self, config: WorldSource) -> None:
        """Store the settings; draws nothing yet."""
        self._config = config

    def rows(self, shard: int, num_shards: int) -> Iterator[LabelledEdit | Rejected]:
        """See ``EditSource``.

        Raises:
            InvalidInputError: there is no such part, or a photo in the settings is unreadable.
        """
        config = self._config
        numbers = contiguous(config.count, shard, num_shards)
        drawn = draw_samples(config.data, config.split, len(numbers), first=numbers.start)
        for number, sample in zip(numbers, drawn, strict=True):
            yield scene_edit(sample, origin_of(config.data, config.split, number))

    def num_rows(self, at_most: int) -> int:
        """See ``EditSource``."""
        return min(self._config.count, at_most)

    def describe(self) -> dict[str, Any]:
        """See ``EditSource``: the settings identify everything."""
        return self._config.model_dump(mode="json")
