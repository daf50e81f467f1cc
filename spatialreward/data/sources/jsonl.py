"""Edits of a folder with JSON Lines, or JSON lists, and pictures beside them."""

import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from spatialreward.data.edits import RowOrigin, SourceRow
from spatialreward.data.sources.columns import check_columns
from spatialreward.data.sources.config import JsonlSource
from spatialreward.data.sources.files import describe_files, find_files, name_of
from spatialreward.data.sources.interface import RowError
from spatialreward.data.sources.json_rows import raw_rows, row_of
from spatialreward.data.sources.pictures import PictureFolder
from spatialreward.data.sources.reading import RowReader
from spatialreward.data.sources.sharding import check_shard

_ROWS_TO_KNOW_COLUMNS = 100


class JsonlEdits:
    """Rows that are objects in JSON files, dealt to the parts row by row across files.

    Every part reads all lines, and parses its own: for a hundred thousand rows that takes a second.
    """

    def __init__(self, config: JsonlSource) -> None:
        """Find the files and check the first rows.

        Raises:
            InvalidInputError: there are none, or none of the first rows has a required column.
        """
        self._config = config
        self._folder = Path(config.folder)
        self._files = find_files(self._folder, config.files)
        pictures = Path(config.pictures) if config.pictures else self._folder
        self._reader = RowReader(
            config.everything, name=config.id_prefix, pictures=PictureFolder(pictures)
        )
        self._check_columns()

    def rows(self, shard: int, num_shards: int) -> Iterator[SourceRow]:
        """See ``EditSource``."""
        check_shard(shard, num_shards)
        for index, (origin, raw) in enumerate(self._raw_rows()):
            if index % num_shards != shard:
                continue
            try:
                row = row_of(raw)
            except RowError as error:
                yield self._reader.unreadable(error.reason, error.detail, origin)
            else:
                yield from self._reader.edits(row, origin)

    def num_rows(self, at_most: int) -> int:
        """See ``EditSource``."""
        return sum(1 for _ in itertools.islice(self._raw_rows(), at_most))

    def describe(self) -> dict[str, Any]:
        """See ``EditSource``; does not cover pictures beside the rows."""
        return self._config.describe() | {"files": describe_files(self._folder, self._files)}

    def _raw_rows(self) -> Iterator[tuple[RowOrigin, Any]]:
        for path in self._files:
            name = name_of(self._folder, path)
            for number, raw in raw_rows(path):
                yield RowOrigin(file=name, row=str(number)), raw

    def _check_columns(self) -> None:
        names: set[str] = set()
        for _, raw in itertools.islice(self._raw_rows(), _ROWS_TO_KNOW_COLUMNS):
            try:
                names.update(row_of(raw))
            except RowError:
                continue
        # If no row is readable, reading reports it row by row.
        if names:
            check_columns(self._config.everything, frozenset(names), self._folder)
