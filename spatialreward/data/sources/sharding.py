"""Divides a data set into parts: disjoint, always the same, together everything."""

from collections.abc import Iterator

from spatialreward.errors import InvalidInputError
from spatialreward.records import Record


class FileShare(Record):
    """What of one file belongs to a part: the rows whose number leaves ``rest`` by ``parts``."""

    file: int
    rest: int
    parts: int

    def has(self, row: int) -> bool:
        """Whether row number ``row`` of the file, from 0 on, belongs to the part."""
        return row % self.parts == self.rest


def check_shard(shard: int, num_shards: int) -> None:
    """Refuse a part that there is not.

    Raises:
        InvalidInputError: ``shard`` is not in ``0..num_shards - 1``.
    """
    if not 0 <= shard < num_shards:
        raise InvalidInputError(f"shard {shard}: expected one of 0..{num_shards - 1}")


def contiguous(total: int, shard: int, num_shards: int) -> range:
    """Row numbers of a part, of ``total`` rows that can be reached by number."""
    check_shard(shard, num_shards)
    return range(shard * total // num_shards, (shard + 1) * total // num_shards)


def file_shares(num_files: int, shard: int, num_shards: int) -> Iterator[FileShare]:
    """Files of a part, where rows can be reached only from their file's beginning.

    While there are at least as many files as parts, every file is read once, by one part. With
    more parts than files, several parts read the same file and share its rows out.
    """
    check_shard(shard, num_shards)
    if num_shards <= num_files:
        for file in range(shard, num_files, num_shards):
            yield FileShare(file=file, rest=0, parts=1)
    elif num_files:
        file, rest = shard % num_files, shard // num_files
        parts = len(range(file, num_shards, num_files))
        yield FileShare(file=file, rest=rest, parts=parts)
