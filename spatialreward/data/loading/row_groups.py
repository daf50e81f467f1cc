"""Rows out of Parquet row groups, each brought with one read of its bytes."""

import functools
import io
from collections.abc import Callable, Sequence
from typing import TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from spatialreward.data.loading.folders import Buffer, ShardReader
from spatialreward.data.loading.order import Numbers
from spatialreward.data.packing.manifest import FILE_NAME, PackedShard
from spatialreward.data.packing.schema import check_schema
from spatialreward.errors import InvalidInputError

Item = TypeVar("Item")
Decode = Callable[[pa.Table, str], Sequence[Item]]
"""Makes a record of each row of a table; the text is what an error calls their shard."""

_MAGIC = b"PAR1"
_TAIL_BYTES = 64 * 1024
_CACHED_FOOTERS = 512


class Window(io.RawIOBase):
    """A file of which only one part is here."""

    def __init__(self, data: Buffer, start: int, size: int) -> None:
        """``data`` stands at byte ``start`` of a file of ``size`` bytes."""
        super().__init__()
        self._data = memoryview(data)
        self._start = start
        self._size = size
        self._at = 0

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """As of any file."""
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._size}[whence]
        self._at = base + offset
        return self._at

    def tell(self) -> int:
        """As of any file."""
        return self._at

    def readable(self) -> bool:
        """It is."""
        return True

    def seekable(self) -> bool:
        """It is."""
        return True

    def readinto(self, target: Buffer | memoryview) -> int:
        """As of any file.

        Raises:
            OSError: that part is not here.
        """
        begin = self._at - self._start
        if begin < 0 or begin + len(target) > len(self._data):
            raise OSError(f"bytes {self._at} to {self._at + len(target)} are outside the row group")
        target[:] = self._data[begin : begin + len(target)]
        self._at += len(target)
        return len(target)


class RowReader:
    """Reads rows of a data set by their numbers, from as few row groups as hold them."""

    def __init__(self, reader: ShardReader, folder: str, shards: Sequence[PackedShard]) -> None:
        """Of these shards; ``folder`` is what an error calls the place where they are."""
        self._reader = reader
        self._folder = folder
        self._shards = shards
        sizes_G = np.array([size for shard in shards for size in shard.row_groups])
        self._starts_G = np.cumsum(sizes_G) - sizes_G
        groups_S = np.array([len(shard.row_groups) for shard in shards])
        self._first_groups_S = np.cumsum(groups_S) - groups_S
        # As row groups come shuffled, the footers of all shards are wanted again and again. As
        # bytes: parsed, they take ten times the memory.
        self._footer = functools.lru_cache(_CACHED_FOOTERS)(self._read_footer)

    def read(self, rows: Numbers, decode: Decode[Item]) -> list[Item]:
        """The records of these rows, in this order.

        Raises:
            InvalidInputError: a shard is damaged, or is not the one in the manifest.
        """
        found: dict[int, Item] = {}
        groups = np.searchsorted(self._starts_G, rows, side="right") - 1
        for group in np.unique(groups):
            wanted = np.sort(rows[groups == group])
            number = int(np.searchsorted(self._first_groups_S, group, side="right")) - 1
            table = self._read_group(number, int(group - self._first_groups_S[number]))
            if len(wanted) < table.num_rows:
                table = table.take(pa.array(wanted - self._starts_G[group]))
            found |= zip(wanted.tolist(), decode(table, self._name(number)), strict=True)
        return [found[row] for row in rows.tolist()]

    def close(self) -> None:
        """Give up what is being read, from any thread."""
        self._reader.close()

    def _name(self, number: int) -> str:
        return f"{self._folder}/{self._shards[number].name}"

    def _read_group(self, number: int, group: int) -> pa.Table:
        shard = self._shards[number]
        footer = _parse(self._footer(number), self._name(number))
        try:
            start, length = _extent(footer.row_group(group))
            file = Window(self._reader.fetch(shard, start, length), start, shard.size_bytes)
            with pq.ParquetFile(file, metadata=footer, page_checksum_verification=True) as parquet:
                return parquet.read_row_group(group, use_threads=False)
        except (pa.ArrowException, OSError) as error:
            raise InvalidInputError(
                f"{self._name(number)}: row group {group} is damaged: {error}"
            ) from error

    def _read_footer(self, number: int) -> bytes:
        """A shard's footer, checked against the manifest."""
        shard, name = self._shards[number], self._name(number)
        length = min(shard.size_bytes, _TAIL_BYTES)
        tail = self._reader.fetch(shard, shard.size_bytes - length, length)
        wanted = int.from_bytes(tail[-8:-4], "little") + 8
        if tail[-4:] != _MAGIC or wanted > shard.size_bytes:
            raise InvalidInputError(f"{name}: is cut short or no Parquet file")
        if wanted > length:
            tail = self._reader.fetch(shard, shard.size_bytes - wanted, wanted)
        footer = bytes(tail[-wanted:])
        parsed = _parse(footer, name)
        check_schema(parsed.schema.to_arrow_schema(), name)
        found = tuple(parsed.row_group(one).num_rows for one in range(parsed.num_row_groups))
        if found != shard.row_groups:
            raise InvalidInputError(
                f"{name}: has row groups of {found} rows, expected {shard.row_groups} as "
                f"{FILE_NAME} says"
            )
        return footer


def _parse(footer: bytes, name: str) -> pq.FileMetaData:
    try:
        return pq.read_metadata(pa.BufferReader(_MAGIC + footer))
    except (pa.ArrowException, OSError) as error:
        raise InvalidInputError(f"{name}: its footer is damaged: {error}") from error


def _extent(group: pq.RowGroupMetaData) -> tuple[int, int]:
    """First byte and length of a row group."""
    chunks = [group.column(number) for number in range(group.num_columns)]
    starts = [
        min(chunk.data_page_offset, chunk.dictionary_page_offset or chunk.data_page_offset)
        for chunk in chunks
    ]
    ends = [
        start + chunk.total_compressed_size for start, chunk in zip(starts, chunks, strict=True)
    ]
    return min(starts), max(ends) - min(starts)
