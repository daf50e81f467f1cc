"""Edits of WebDataset tars."""

import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from spatialreward.data.edits import Rejected, RowOrigin, SourceRow
from spatialreward.data.sources.columns import check_columns, top_level
from spatialreward.data.sources.config import WebDatasetSource
from spatialreward.data.sources.files import describe_files, find_files, name_of
from spatialreward.data.sources.interface import Reason, writable
from spatialreward.data.sources.reading import RowReader
from spatialreward.data.sources.sharding import FileShare, file_shares
from spatialreward.data.sources.tar_samples import Sample, samples

_SAMPLES_TO_KNOW_COLUMNS = 20


class WebDatasetEdits:
    """Samples of tars: a sample is a row, and its files' extensions are the columns.

    A part is a share of the tars; several parts read one tar only if there are more parts than
    tars.
    """

    def __init__(self, config: WebDatasetSource) -> None:
        """Find the tars and check the first samples.

        Raises:
            InvalidInputError: there are none, or none of the first samples has a required column.
        """
        self._config = config
        self._folder = Path(config.folder)
        self._files = find_files(self._folder, config.files)
        self._reader = RowReader(config.everything, name=config.id_prefix)
        self._paths = [path for columns in config.everything for path in columns.named()]
        self._check_columns()

    def rows(self, shard: int, num_shards: int) -> Iterator[SourceRow]:
        """See ``EditSource``."""
        for share in file_shares(len(self._files), shard, num_shards):
            yield from self._rows_of(self._files[share.file], share)

    def num_rows(self, at_most: int) -> int:
        """See ``EditSource``; reads the headers of a few tars."""
        count = 0
        for path in self._files:
            for sample in samples(path, lambda number: False, self._is_read):
                count += 1
                if isinstance(sample, str) or count == at_most:
                    return at_most
        return count

    def describe(self) -> dict[str, Any]:
        """See ``EditSource``."""
        return self._config.describe() | {"files": describe_files(self._folder, self._files)}

    def _rows_of(self, path: Path, share: FileShare) -> Iterator[SourceRow]:
        name = name_of(self._folder, path)
        next_number = 0
        for sample in samples(path, share.has, self._is_read):
            if isinstance(sample, str):
                # The part with the first lost sample reports all of them.
                if share.has(next_number):
                    yield self._lost(name, next_number, sample)
            elif sample.complete or self._has_everything(sample):
                next_number = sample.number + 1
                if share.has(sample.number):
                    yield from self._edits(sample, name)

    def _edits(self, sample: Sample, name: str) -> Iterator[SourceRow]:
        origin = RowOrigin(file=name, row=writable(sample.key))
        if sample.problem is not None:
            yield self._reader.unreadable(sample.problem.reason, sample.problem.detail, origin)
        else:
            yield from self._reader.edits({"__key__": sample.key, **sample.files}, origin)

    def _lost(self, name: str, number: int, problem: str) -> Rejected:
        return self._reader.unreadable(
            Reason.BROKEN_FILE,
            f"from sample {number} on: {problem}",
            RowOrigin(file=name, row=f"from {number} on"),
        )

    def _is_read(self, extension: str) -> bool:
        return any(top_level(path, frozenset({extension})) for path in self._paths)

    def _has_everything(self, sample: Sample) -> bool:
        names = frozenset({"__key__", *sample.files})
        return all(top_level(path, names) for path in self._paths)

    def _check_columns(self) -> None:
        names: set[str] = set()
        for path in self._files:
            first = samples(path, lambda number: False, self._is_read)
            for sample in itertools.islice(first, _SAMPLES_TO_KNOW_COLUMNS):
                if isinstance(sample, Sample) and sample.complete:
                    names.update(("__key__", *sample.files))
            if names:
                break
        # If no tar is readable, reading reports it tar by tar.
        if names:
            check_columns(self._config.everything, frozenset(names), path)
