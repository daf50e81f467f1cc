"""One string, one benchmark: its name, and its location after an ``=``."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

from spatialreward.benchmarks.editreward_bench import EditRewardBench
from spatialreward.benchmarks.interface import Benchmark
from spatialreward.benchmarks.labelled import LabelledEdits
from spatialreward.benchmarks.mer_bench import MerBench
from spatialreward.benchmarks.mmrb2 import Mmrb2
from spatialreward.benchmarks.tiger_bench import TigerBench
from spatialreward.benchmarks.vcreward_bench import VcRewardBench
from spatialreward.data.dataset import DatasetRef
from spatialreward.errors import InvalidInputError
from spatialreward.hub import BENCHMARK, ON_HUB, fetch_from_hub

WORLD = "world"
PUBLISHED: Mapping[str, Callable[[Path], Benchmark]] = {
    "mer-bench": MerBench.read,
    "editreward-bench": EditRewardBench.read,
    "tiger-editreward-bench": TigerBench.read,
    "vcreward-bench": VcRewardBench.read,
    "mmrb2": Mmrb2.read,
}
"""Reader of each published format."""
NUM_TASKS, GROUP_SIZE = 64, 4
"""For ``world`` without a data set: tasks to generate, and edits of each."""


class Named(NamedTuple):
    """A benchmark's name and location, before reading."""

    name: str
    place: str
    """A folder, or ``hub:OWNER/NAME@REVISION``; for ``world`` any data set, or empty."""

    @classmethod
    def parse(cls, text: str) -> "Named":
        """Parse ``NAME=PLACE``.

        Raises:
            InvalidInputError: there is no such benchmark, or no place.
        """
        name, _, place = text.partition("=")
        if name not in (*PUBLISHED, WORLD):
            expected = ", ".join([*PUBLISHED, WORLD])
            raise InvalidInputError(f"benchmark {name!r}: expected one of {expected}")
        if not place and name != WORLD:
            raise InvalidInputError(
                f"benchmark {name}: expected {name}=FOLDER or {name}=hub:OWNER/NAME@REVISION"
            )
        return cls(name, place)

    @property
    def edits(self) -> DatasetRef | None:
        """The named labelled edits; None: another benchmark, or none named.

        Raises:
            InvalidInputError: it is not a reference of a data set.
        """
        return DatasetRef.parse(self.place) if self.name == WORLD and self.place else None

    def open(self, scratch: Path) -> Benchmark:
        """Fetch it if necessary, and read it.

        Args:
            scratch: receives the edits of ``world`` without a data set; an own folder.

        Raises:
            InvalidInputError: it is missing, or no row is usable.
            HubError, StorageError: it cannot be downloaded.
        """
        if (edits := self.edits) is not None:
            return LabelledEdits.of(edits.open())
        if self.name == WORLD:
            from spatialreward.world.building import build_groups
            from spatialreward.world.config import DataConfig

            build_groups(DataConfig(), NUM_TASKS, GROUP_SIZE, scratch)
            return LabelledEdits.of(DatasetRef(place=scratch).open())
        on_hub = self.place.startswith(ON_HUB)
        folder = fetch_from_hub(self.place, BENCHMARK) if on_hub else Path(self.place)
        return PUBLISHED[self.name](folder)
