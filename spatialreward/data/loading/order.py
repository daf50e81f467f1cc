"""The order of an epoch: a pure function of the seed, the epoch, and what was read before.

Row groups are what can be read at once, so they are shuffled as such, over all shards. What is left
of their rows is dealt to the streams in equal spans, a span is cut into buffers of a few row
groups, and the rows of a buffer are shuffled. A count of samples is therefore enough to go on.
"""

# N rows of the data set, L rows left, B rows of a buffer, G row groups

import hashlib
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from spatialreward.data.loading.state import Leg, LoaderState, LoadingConfig
from spatialreward.errors import InvalidInputError

Numbers = NDArray[np.int64]


class EpochOrder:
    """The order of one epoch's rows, numbered 0..N-1 in the order of the manifest."""

    def __init__(
        self, group_sizes: Sequence[int], config: LoadingConfig, epoch: int, legs: Sequence[Leg]
    ) -> None:
        """Work out what is left for the last leg; the others were read before.

        Args:
            group_sizes: rows of each row group, through all shards.
            config: seed and size of the buffers.
            epoch: number of the epoch.
            legs: as in the state; all but the last are complete.
        """
        self._sizes_G = np.asarray(group_sizes, dtype=np.int64)
        self._starts_G = np.cumsum(self._sizes_G) - self._sizes_G
        self._config = config
        self._epoch = epoch
        self._legs = legs
        rows = self._in_order_of_groups()
        for number in range(len(legs) - 1):
            rows = rows[self._is_left(rows, number)]
        self._left_L = rows
        self._dealt = self._deal(rows, len(legs) - 1)

    @classmethod
    def of(cls, state: LoaderState, group_sizes: Sequence[int]) -> "EpochOrder":
        """The order in which a state goes on."""
        return cls(group_sizes, state.config, state.epoch, state.legs)

    def span(self, stream: int) -> int:
        """Samples of a stream, those that were taken included."""
        start, end = _span(len(self._dealt), self._legs[-1].num_streams, stream)
        return end - start

    def buffers(self, stream: int, taken: int) -> Iterator[Numbers]:
        """Rows of a stream behind the first ``taken``, buffer by buffer, in order.

        Raises:
            InvalidInputError: the stream has fewer than that.
        """
        if taken > self.span(stream):
            raise InvalidInputError(
                f"state of epoch {self._epoch}: {taken} samples taken from stream {stream}, "
                f"which has {self.span(stream)}"
            )
        number = len(self._legs) - 1
        for indices in self._shuffled_buffers(self._left_L, self._dealt, number, stream):
            if taken < len(indices):
                yield self._left_L[indices[taken:]]
            taken = max(0, taken - len(indices))

    def _in_order_of_groups(self) -> Numbers:
        order_G = permutation(len(self._sizes_G), self._config.seed, self._epoch)
        sizes_G = self._sizes_G[order_G]
        offsets_G = np.cumsum(sizes_G) - sizes_G
        return np.arange(sizes_G.sum()) + np.repeat(self._starts_G[order_G] - offsets_G, sizes_G)

    def _is_left(self, rows_L: Numbers, number: int) -> NDArray[np.bool_]:
        """Which rows a leg did not come to, of those that were left for it."""
        left_L = np.ones(len(rows_L), dtype=bool)
        dealt = self._deal(rows_L, number)
        for stream, taken in self._legs[number].taken.items():
            for indices in self._shuffled_buffers(rows_L, dealt, number, stream):
                if taken <= 0:
                    break
                left_L[indices[:taken]] = False
                taken -= len(indices)
        return left_L

    def _deal(self, rows_L: Numbers, number: int) -> Numbers:
        """Indices of the rows that the streams of a leg get, in order."""
        indices_L = np.arange(len(rows_L))
        num_streams = self._legs[number].num_streams
        remainder = len(rows_L) % num_streams
        if not self._config.drop_remainder or not remainder:
            return indices_L
        # One permutation for all epochs, and every epoch drops the next rows along it: none is
        # dropped twice before all were dropped once.
        rows_N = permutation(int(self._sizes_G.sum()), self._config.seed)
        place_N = np.empty_like(rows_N)
        place_N[rows_N] = np.arange(len(rows_N))
        begin = self._epoch * remainder
        distances_L = (place_N[rows_L] - begin) % len(rows_N)
        return np.delete(indices_L, np.argpartition(distances_L, remainder - 1)[:remainder])

    def _shuffled_buffers(
        self, rows_L: Numbers, dealt: Numbers, number: int, stream: int
    ) -> Iterator[Numbers]:
        """Indices into ``rows_L`` of a stream's buffers, each shuffled."""
        start, end = _span(len(dealt), self._legs[number].num_streams, stream)
        span = dealt[start:end]
        for count, (first, last) in enumerate(self._cut(rows_L[span])):
            key = (self._config.seed, self._epoch, number, stream, count)
            yield span[first + permutation(last - first, *key)]

    def _cut(self, rows: Numbers) -> Iterator[tuple[int, int]]:
        """Ends of the buffers: as many whole row groups as fit, and one at least."""
        if not len(rows):
            return
        groups = np.searchsorted(self._starts_G, rows, side="right")
        edges = [*(np.flatnonzero(np.diff(groups)) + 1).tolist(), len(rows)]
        begin = end = 0
        for edge in edges:
            if edge - begin > self._config.buffer_rows and end > begin:
                yield begin, end
                begin = end
            end = edge
        yield begin, end


def permutation(size: int, *key: int) -> Numbers:
    """A permutation of 0..size-1 that follows from its key alone.

    Sorted by SplitMix64 (Steele, Lea and Flood, 2014): NumPy may change its own generators, and a
    training that goes on with another version would then see samples twice.
    """
    digest = hashlib.blake2b(repr(key).encode(), digest_size=8).digest()
    mixed = np.arange(1, size + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    mixed += np.uint64(int.from_bytes(digest, "little"))
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    mixed ^= mixed >> np.uint64(31)
    return np.argsort(mixed, kind="stable")


def _span(length: int, num_streams: int, stream: int) -> tuple[int, int]:
    return stream * length // num_streams, (stream + 1) * length // num_streams
