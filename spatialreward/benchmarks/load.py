"""One string, one benchmark: its name, and behind an ``=`` where it is."""

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
"""What reads each in a folder as it is published."""
NUM_TASKS, GROUP_SIZE = 64, 4
"""Of ``world`` without a data set: tasks that are drawn here, and edits of each."""


class Named(NamedTuple):
    """A benchmark as it was named, before anything is read."""

    name: str
    place: str
    """A folder, or ``hub:OWNER/NAME@REVISION``; of ``world`` any data set, or empty."""

    @classmethod
    def parse(cls, text: str) -> "Named":
        """Read ``NAME=PLACE``.

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
        """The labelled edits that are named; None: it is another benchmark, or names none.

        Raises:
            InvalidInputError: that is no reference of a data set.
        """
        return DatasetRef.parse(self.place) if self.name == WORLD and self.place else None

    def open(self, scratch: Path) -> Benchmark:
        """Bring it here, unless it is, and read it.

        Args:
            scratch: gets the edits of ``world`` without a data set; a folder of its own.

        Raises:
            InvalidInputError: it is not there, or no row of it can be measured on.
            HubError, StorageError: it cannot be fetched.
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
