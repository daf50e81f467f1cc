"""Edits and rankings of a data set by number, for trainings that read them in any order.

The sampler decides the order: a seeded one gives every rank the same order, and a resumed training
skips seen rows in the sampler (``accelerate.skip_first_batches``), so no row is read in excess and
none has to be remembered.
"""

import bisect
import itertools
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from spatialreward.data.dataset import Dataset
from spatialreward.data.edits import LabelledEdit, Ranking
from spatialreward.data.packing.rankings import RANKINGS, rankings_of
from spatialreward.data.packing.schema import edits_of

if TYPE_CHECKING:
    from datasets import Dataset as MappedRows


Row = TypeVar("Row")


class _Rows(Generic[Row]):
    """Consecutively numbered rows of several shards, each readable separately."""

    def __init__(
        self,
        rows: "MappedRows",
        shards: Iterable[tuple[str, int]],
        read: Callable[[Any, str], Sequence[Row]],
        what: str,
    ) -> None:
        """Use mapped rows.

        Args:
            rows: of all shards.
            shards: name and number of rows of each.
            read: converts a row of its table; gets the shard's name for errors.
            what: kind of row, for errors.
        """
        self._rows = rows
        counted = list(shards)
        self._names = [name for name, _ in counted]
        self._ends = list(itertools.accumulate(size for _, size in counted))
        self._read = read
        self._what = what

    def __len__(self) -> int:
        return len(self._rows)

    def row(self, number: int) -> Row:
        if not 0 <= number < len(self):
            raise IndexError(f"no {self._what} {number}, there are {len(self)}")
        name = self._names[bisect.bisect_right(self._ends, number)]
        return self._read(self._rows[number], name)[0]


class EditRows:
    """The edits of a data set by number, from an Arrow file on this machine's disk.

    It is a map-style data set of PyTorch. A pickled copy maps the same files, so workers may be
    forked or spawned. ``torch.utils.data.ConcatDataset`` joins several.
    """

    def __init__(self, data: Dataset, cache: Path | None = None) -> None:
        """Map the copy of the shards in ``cache``; writes it first if missing.

        The copy takes as much disk space as the uncompressed shards, once per machine and data set;
        the first of several processes writes it.

        Raises:
            InvalidInputError: a shard or the copy is damaged, or the copy does not fit on the disk;
                names the file or folder.
        """
        # datasets takes seconds to import.
        from spatialreward.data.row_cache import cached_rows

        sizes = [(shard.name, sum(shard.footer.row_groups)) for shard in data.shards]
        self._rows = _Rows(cached_rows(data, cache), sizes, edits_of, "edit")

    def __len__(self) -> int:
        """Number of edits."""
        return len(self._rows)

    def __getitem__(self, number: int) -> LabelledEdit:
        """Edit ``number``; reads only its own bytes.

        Raises:
            IndexError: there is none.
            InvalidInputError: the row is not an edit; names the shard.
        """
        return self._rows.row(number)


class RankingRows:
    """The rankings of a data set by number; as ``EditRows``."""

    def __init__(self, data: Dataset, cache: Path | None = None) -> None:
        """Map the copy of the shards in ``cache``; writes it first if missing.

        Raises:
            InvalidInputError: as ``EditRows``.
        """
        from spatialreward.data.row_cache import cached_rows

        sizes = [(shard.name, shard.num_rankings) for shard in data.ranking_shards]
        self._rows = _Rows(cached_rows(data, cache, RANKINGS), sizes, rankings_of, "ranking")

    def __len__(self) -> int:
        """Number of rankings."""
        return len(self._rows)

    def __getitem__(self, number: int) -> Ranking:
        """Ranking ``number``, with all of its pictures; reads only its own bytes.

        Raises:
            IndexError: there is none.
            InvalidInputError: the row is not a ranking; names the shard.
        """
        return self._rows.row(number)
