"""The edits and the rankings of a data set by number, for a training that reads them in any order.

Which rows come when is the sampler's part: a seeded one gives every rank the same order, and a
training that goes on skips in the sampler what was seen (``accelerate.skip_first_batches``), so no
row is read to be thrown away and none has to be remembered.
"""

import bisect
import itertools
from pathlib import Path

from spatialreward.data.dataset import Dataset
from spatialreward.data.edits import LabelledEdit, Ranking
from spatialreward.data.packing.rankings import RANKINGS, rankings_of
from spatialreward.data.packing.schema import edits_of


class EditRows:
    """The edits of a data set by number, from an Arrow file on this machine's disk.

    It is a map-style data set to PyTorch. A copy of it that was pickled maps the same files, so
    workers may be forked or spawned. Several are joined by ``torch.utils.data.ConcatDataset``.
    """

    def __init__(self, data: Dataset, cache: Path | None = None) -> None:
        """Map the copy of the shards in ``cache``, and write it first unless it is there.

        The copy takes as much disk as the shards do without compression, once a machine and data
        set; the first of several processes writes it.

        Raises:
            InvalidInputError: a shard, or the copy, is damaged, or there is no room for the copy;
                names the file or folder.
        """
        # datasets takes seconds to import.
        from spatialreward.data.row_cache import cached_rows

        self._rows = cached_rows(data, cache)
        sizes = [sum(shard.footer.row_groups) for shard in data.shards]
        self._ends = list(itertools.accumulate(sizes))
        self._names = [shard.name for shard in data.shards]

    def __len__(self) -> int:
        """Number of edits."""
        return len(self._rows)

    def __getitem__(self, number: int) -> LabelledEdit:
        """Edit ``number``; reads its own bytes and no other row's.

        Raises:
            IndexError: there is none.
            InvalidInputError: the row is no edit; names the shard.
        """
        if not 0 <= number < len(self):
            raise IndexError(f"no edit {number}, there are {len(self)}")
        name = self._names[bisect.bisect_right(self._ends, number)]
        return edits_of(self._rows[number], name)[0]


class RankingRows:
    """The rankings of a data set by number, as ``EditRows`` are its edits."""

    def __init__(self, data: Dataset, cache: Path | None = None) -> None:
        """Map the copy of the shards in ``cache``, and write it first unless it is there.

        Raises:
            InvalidInputError: as ``EditRows``.
        """
        from spatialreward.data.row_cache import cached_rows

        self._rows = cached_rows(data, cache, RANKINGS)
        self._ends = list(itertools.accumulate(one.num_rankings for one in data.ranking_shards))
        self._names = [shard.name for shard in data.ranking_shards]

    def __len__(self) -> int:
        """Number of rankings."""
        return len(self._rows)

    def __getitem__(self, number: int) -> Ranking:
        """Ranking ``number``, with all of its pictures; reads no other row's bytes.

        Raises:
            IndexError: there is none.
            InvalidInputError: the row is no ranking; names the shard.
        """
        if not 0 <= number < len(self):
            raise IndexError(f"no ranking {number}, there are {len(self)}")
        name = self._names[bisect.bisect_right(self._ends, number)]
        return rankings_of(self._rows[number], name)[0]
