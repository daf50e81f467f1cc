"""Edits of a data set on the Hugging Face hub, streamed with ``datasets``.

Requests only the data set in the settings, and ``datasets`` runs none of its code. A local folder
in the hub's form works the same way.
"""

import tarfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import datasets
import pyarrow as pa
from datasets.exceptions import DatasetGenerationError, DatasetsError

from spatialreward.data.edits import RowOrigin, SourceRow
from spatialreward.data.sources.columns import check_columns, needed
from spatialreward.data.sources.config import HubSource
from spatialreward.data.sources.files import describe_files
from spatialreward.data.sources.interface import Reason
from spatialreward.data.sources.reading import RowReader
from spatialreward.data.sources.sharding import FileShare, file_shares
from spatialreward.data.sources.values import Row
from spatialreward.errors import InvalidInputError

_BROKEN = (
    pa.ArrowException,
    DatasetGenerationError,
    tarfile.TarError,
    EOFError,
    zlib.error,
    ValueError,
)


class HubEdits:
    """Rows of a hub data set, file by file.

    A part is a share of the files; several parts read one file only if there are more parts than
    files. A text that is not UTF-8 breaks the rest of its file here; downloaded and read as Parquet
    it costs only its own row.
    """

    def __init__(self, config: HubSource) -> None:
        """Query the hub for the data set's files and columns.

        Raises:
            InvalidInputError: there is no such data set, subset, revision or split, it needs code
                of its own, or it lacks a required column.
            OSError: the hub is unreachable; the HTTP client may raise errors of its own.
        """
        self._config = config
        self._where = f"{config.id}, {config.subset or 'default'}, {config.split}"
        try:
            builder = datasets.load_dataset_builder(
                config.id, config.subset, revision=config.revision
            )
            stream = builder.as_streaming_dataset(split=config.split)
        except (DatasetsError, ValueError, FileNotFoundError, RuntimeError) as error:
            raise InvalidInputError(f"{self._where}: {error}") from error
        base = builder.base_path or ""
        self._at = base if base.startswith("hf://") else str(Path(config.id).resolve())
        files = (builder.config.data_files or {}).get(config.split, [])
        self._data_files = tuple(str(file).removeprefix(f"{self._at}/") for file in files)
        self._files = self._data_files
        if len(files) != stream.num_shards:
            # Archives, which the stream expands into files.
            numbers = range(stream.num_shards)
            self._files = tuple(f"{config.split} {number}" for number in numbers)
        split = (builder.info.splits or {}).get(config.split)
        self._num_rows = split.num_examples if split else None
        self._stream = self._checked(stream.decode(False))
        self._reader = RowReader(config.everything, name=config.id_prefix)

    def rows(self, shard: int, num_shards: int) -> Iterator[SourceRow]:
        """See ``EditSource``."""
        for share in file_shares(len(self._files), shard, num_shards):
            yield from self._rows_of(share)

    def num_rows(self, at_most: int) -> int:
        """See ``EditSource``; streams a few rows if the hub does not give their number."""
        if len(self._files) >= at_most:
            return at_most
        known = self._num_rows
        if known is not None:
            return min(known, at_most)
        stream = iter(self._stream)
        for count in range(at_most):
            row = _next_row(stream)
            if row is None:
                return count
            if isinstance(row, str):
                break
        return at_most

    def describe(self) -> dict[str, Any]:
        """See ``EditSource``; ``at`` is the hub's address with the commit in use.

        For a local folder in the hub's form it holds the files' fingerprints instead.
        """
        is_local = not self._at.startswith("hf://")
        folder = Path(self._at)
        paths = tuple(folder / file for file in self._data_files) if is_local else ()
        return self._config.describe() | {
            "id": self._config.id if not is_local else None,
            "subset": self._config.subset,
            "split": self._config.split,
            "revision": self._config.revision,
            "at": None if is_local else self._at,
            "files": describe_files(folder, paths) if is_local else list(self._data_files),
        }

    def _rows_of(self, share: FileShare) -> Iterator[SourceRow]:
        file = self._files[share.file]
        stream = iter(self._stream.shard(len(self._files), share.file))
        number = 0
        while True:
            row = _next_row(stream)
            if row is None:
                return
            if share.has(number):
                origin = RowOrigin(file=file, row=str(number))
                if isinstance(row, str):
                    # The part with the first lost row reports all of them.
                    detail = f"from row {number} on: {row}"
                    yield self._reader.unreadable(Reason.BROKEN_FILE, detail, origin)
                else:
                    yield from self._reader.edits(row, origin)
            if isinstance(row, str):
                return
            number += 1

    def _checked(self, stream: datasets.IterableDataset) -> datasets.IterableDataset:
        """The stream, limited to the needed columns if it knows its columns."""
        names = stream.column_names
        if names is None:
            # JSON and tars reveal their columns only in rows.
            first = _next_row(iter(stream))
            names = list(first) if isinstance(first, dict) else None
        if names is None:
            return stream
        check_columns(self._config.everything, frozenset(names), self._where)
        if stream.column_names is None:
            return stream
        return stream.select_columns(sorted(needed(self._config.everything, frozenset(names))))


def _next_row(stream: Iterator[Row]) -> Row | str | None:
    """A row; None at the end; a text with the reason if no more is readable."""
    try:
        return next(stream, None)
    except _BROKEN as error:
        return f"{type(error).__name__}: {error}"
    except OSError as error:
        # Arrow reports malformed content as a bare OSError without an errno; errors of the network
        # and the disk have another type or an errno.
        if type(error) is not OSError or error.errno is not None:
            raise
        return str(error)
