"""Edits of Parquet files in the form of Hugging Face data sets."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from spatialreward.data.edits import Rejected, RowOrigin, SourceRow
from spatialreward.data.sources.columns import check_columns, needed
from spatialreward.data.sources.config import ParquetSource
from spatialreward.data.sources.files import describe_files, find_files, is_of_the_storage, name_of
from spatialreward.data.sources.interface import Reason
from spatialreward.data.sources.pictures import PictureFolder
from spatialreward.data.sources.reading import RowReader
from spatialreward.data.sources.sharding import contiguous

# A row has two or three pictures of up to a few MB each.
_ROWS_AT_ONCE = 8


class _File(NamedTuple):
    path: Path
    name: str
    num_rows: int
    """1 for a file without a readable footer: one reject replaces its rows."""
    names: frozenset[str]
    problem: str


class ParquetEdits:
    """Rows of Parquet files, by number. A part is a run of consecutive rows.

    Reads page by page, and only the needed columns. A page holds up to 1024 values, so memory
    follows the row groups: for 1000 rows with two pictures of 250 kB each it takes 1.0 GB, where
    reading such a row group whole takes 2.2 GB; newer data sets have groups of 100.
    """

    def __init__(self, config: ParquetSource) -> None:
        """Read all footers.

        Raises:
            InvalidInputError: there are no files, or a readable one lacks a required column.
        """
        self._config = config
        self._folder = Path(config.folder)
        self._files = [self._inspect(path) for path in find_files(self._folder, config.files)]
        pictures = Path(config.pictures) if config.pictures else self._folder
        self._reader = RowReader(
            config.everything, name=config.id_prefix, pictures=PictureFolder(pictures)
        )
        for file in self._files:
            if not file.problem:
                check_columns(config.everything, file.names, file.path)

    def rows(self, shard: int, num_shards: int) -> Iterator[SourceRow]:
        """See ``EditSource``; a damaged row group is one reject, and reading continues after it."""
        wanted = contiguous(sum(file.num_rows for file in self._files), shard, num_shards)
        first = 0
        for file in self._files:
            start = max(wanted.start - first, 0)
            own = range(start, max(min(wanted.stop - first, file.num_rows), start))
            first += file.num_rows
            if not own:
                continue
            if file.problem:
                origin = RowOrigin(file=file.name, row="all")
                yield self._reader.unreadable(Reason.BROKEN_FILE, file.problem, origin)
            else:
                yield from self._rows_of(file, own)

    def num_rows(self, at_most: int) -> int:
        """See ``EditSource``."""
        if any(file.problem for file in self._files):
            return at_most
        return min(sum(file.num_rows for file in self._files), at_most)

    def describe(self) -> dict[str, Any]:
        """See ``EditSource``; does not cover pictures beside the files."""
        paths = tuple(file.path for file in self._files)
        return self._config.describe() | {"files": describe_files(self._folder, paths)}

    def _inspect(self, path: Path) -> _File:
        name = name_of(self._folder, path)
        try:
            with pq.ParquetFile(path) as file:
                names = frozenset(file.schema_arrow.names)
                return _File(path, name, file.metadata.num_rows, names, problem="")
        except (pa.ArrowException, OSError) as error:
            if is_of_the_storage(error):
                raise
            return _File(path, name, 1, frozenset(), problem=f"no readable footer: {error}")

    def _rows_of(self, file: _File, own: range) -> Iterator[SourceRow]:
        columns = sorted(needed(self._config.everything, file.names))
        with pq.ParquetFile(file.path, pre_buffer=False, buffer_size=1 << 20) as parquet:
            first = 0
            for group in range(parquet.num_row_groups):
                numbers = range(first, first + parquet.metadata.row_group(group).num_rows)
                first = numbers.stop
                if numbers.start < own.stop and own.start < numbers.stop:
                    yield from self._rows_of_group(parquet, group, numbers, columns, own, file)

    def _rows_of_group(
        self,
        parquet: pq.ParquetFile,
        group: int,
        numbers: range,
        columns: list[str],
        own: range,
        file: _File,
    ) -> Iterator[SourceRow]:
        number = numbers.start
        for batch in _batches(parquet, group, columns):
            if isinstance(batch, str):
                # The part with the first lost row reports all of them.
                if number in own:
                    yield self._lost(number, numbers, batch, file)
                return
            for row in range(batch.num_rows):
                if number in own:
                    yield from self._edits(batch, row, RowOrigin(file=file.name, row=str(number)))
                number += 1
            if number >= own.stop:
                return
        if number < numbers.stop and number in own:
            yield self._lost(number, numbers, "the row group ends early", file)

    def _edits(self, batch: pa.RecordBatch, row: int, origin: RowOrigin) -> Iterator[SourceRow]:
        try:
            values = {name: batch.column(name)[row].as_py() for name in batch.schema.names}
        except UnicodeDecodeError as error:
            yield self._reader.unreadable(
                Reason.UNREADABLE_ROW, f"text that is not UTF-8: {error}", origin
            )
            return
        yield from self._reader.edits(values, origin)

    def _lost(self, number: int, numbers: range, problem: str, file: _File) -> Rejected:
        return self._reader.unreadable(
            Reason.BROKEN_FILE,
            f"rows {number} to {numbers.stop - 1}: {problem}",
            RowOrigin(file=file.name, row=str(number)),
        )


def _batches(
    parquet: pq.ParquetFile, group: int, columns: list[str]
) -> Iterator[pa.RecordBatch | str]:
    """The row group's rows in batches, and finally the reason if reading broke off."""
    batches = parquet.iter_batches(
        batch_size=_ROWS_AT_ONCE, row_groups=[group], columns=columns, use_threads=False
    )
    while True:
        try:
            batch = next(batches, None)
        except (pa.ArrowException, OSError) as error:
            if is_of_the_storage(error):
                raise
            yield str(error)
            return
        if batch is None:
            return
        yield batch
