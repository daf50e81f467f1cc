"""Divides a data set into parts: disjoint, deterministic, and together complete."""

from collections.abc import Iterator

from spatialreward.errors import InvalidInputError
from spatialreward.records import Record


class FileShare(Record):
    """A part's share of one file: the rows whose number modulo ``parts`` is ``rest``."""

    file: int
    rest: int
    parts: int

    def has(self, row: int) -> bool:
        """Whether row number ``row`` of the file, from 0 on, belongs to the part."""
        return row % self.parts == self.rest


def check_shard(shard: int, num_shards: int) -> None:
    """Refuse an invalid part.

    Raises:
        InvalidInputError: ``shard`` is not in ``0..num_shards - 1``.
    """
    if not 0 <= shard < num_shards:
        raise InvalidInputError(f"shard {shard}: expected one of 0..{num_shards - 1}")


def contiguous(total: int, shard: int, num_shards: int) -> range:
    """Row numbers of a part, of ``total`` rows with random access."""
    check_shard(shard, num_shards)
    return range(shard * total // num_shards, (shard + 1) * total // num_shards)


def file_shares(num_files: int, shard: int, num_shards: int) -> Iterator[FileShare]:
    """Files of a part, for sequential files.

    With at least as many files as parts, one part reads each file, once. With more parts than
    files, several parts read the same file and divide its rows.
    """
    check_shard(shard, num_shards)
    if num_shards <= num_files:
        for file in range(shard, num_files, num_shards):
            yield FileShare(file=file, rest=0, parts=1)
    elif num_files:
        file, rest = shard % num_files, shard // num_files
        parts = len(range(file, num_shards, num_files))
        yield FileShare(file=file, rest=rest, parts=parts)
