"""The copy of a data set's shards that rows are read from by number: Arrow files, kept by content.

A row of a Parquet file costs its whole row group, a row of a memory-mapped Arrow file its own
bytes. ``datasets`` writes the copy, once a machine: under a lock, into a folder that takes its name
when it is complete. Its own reader of Parquet keeps copies by path and time of the shards, and so
gives old rows for a shard that was replaced within the clock's step or with its time kept; here the
checksums of the shards are the name.
"""

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import datasets
import pyarrow as pa
from datasets.exceptions import DatasetGenerationError

from spatialreward.data.dataset import Dataset, Shard, default_cache
from spatialreward.data.packing.layout import opened
from spatialreward.data.packing.schema import SCHEMA
from spatialreward.data.packing.shards import EDITS
from spatialreward.errors import InvalidInputError
from spatialreward.folder_manifest import digest_file
from spatialreward.progress import track

_NAME_LETTERS = 32


def cached_rows(data: Dataset, cache: Path | None = None) -> datasets.Dataset:
    """All rows of a data set, memory mapped, in the form of ``SCHEMA``.

    Args:
        data: where the shards are.
        cache: where the copy is kept; processes may share it. Default: ``default_cache()``.

    Raises:
        InvalidInputError: a shard is damaged, or was replaced while it was read; or the copy is
            damaged. Names the file.
        OSError: the copy cannot be written.
    """
    shards = [(shard, shard.sha256) for shard in data.shards]
    told = "".join(sha256 for _, sha256 in shards) + str(SCHEMA)
    name = hashlib.sha256(told.encode()).hexdigest()[:_NAME_LETTERS]
    folder = (cache or default_cache()) / "rows"
    with _without_bars():
        builder = _Copy(cache_dir=str(folder), config_id=name, shards=tuple(shards))
        try:
            builder.download_and_prepare()
        except DatasetGenerationError as error:
            # What was raised while the copy was written is what can be acted on.
            raise error.__cause__ or error from None
        try:
            rows = builder.as_dataset(split="train")
        except (pa.ArrowException, OSError) as error:
            raise InvalidInputError(
                f"{builder.cache_dir}: this copy of {data} is damaged, remove it: {error}"
            ) from error
    return rows.with_format("arrow")


@dataclass
class _CopyConfig(datasets.BuilderConfig):
    shards: Sequence[tuple[Shard, str]] = ()


class _Copy(datasets.ArrowBasedBuilder):
    """Writes the rows of shards of edits, given with their checksums, as they are."""

    VERSION = "1.0.0"
    BUILDER_CONFIG_CLASS = _CopyConfig

    def _info(self) -> datasets.DatasetInfo:
        return datasets.DatasetInfo(features=datasets.Features.from_arrow_schema(SCHEMA))

    def _split_generators(
        self, dl_manager: datasets.DownloadManager
    ) -> list[datasets.SplitGenerator]:
        return [datasets.SplitGenerator("train", {"shards": self.config.shards})]

    def _generate_tables(
        self, shards: Sequence[tuple[Shard, str]]
    ) -> Iterator[tuple[tuple[int, int], pa.Table]]:
        keys = [
            (number, group)
            for number, (shard, _) in enumerate(shards)
            for group in range(len(shard.footer.row_groups))
        ]
        tables = (table for shard, sha256 in shards for table in _tables(shard, sha256))
        described = "copying row groups to this machine's cache"
        yield from zip(keys, track(tables, total=len(keys), description=described), strict=True)


def _tables(shard: Shard, sha256: str) -> Iterator[pa.Table]:
    """The row groups of a shard, which is compared with its checksum after the last one."""
    with opened(shard.path, shard.name, EDITS) as file:
        columns = [name for name in SCHEMA.names if name in file.schema_arrow.names]
        for number in range(file.num_row_groups):
            yield file.read_row_group(number, columns, use_threads=False)
    if digest_file(shard.path) != sha256:
        raise InvalidInputError(f"{shard.name}: was replaced while the data set was in use")


@contextmanager
def _without_bars() -> Iterator[None]:
    """``track`` shows how far the copy is, also in a log."""
    if datasets.are_progress_bars_disabled():
        yield
        return
    datasets.disable_progress_bars()
    try:
        yield
    finally:
        datasets.enable_progress_bars()
