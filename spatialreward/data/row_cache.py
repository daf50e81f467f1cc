"""Cached Arrow copies of a data set's shards for reading rows by number, keyed by content.

Reading a row of a Parquet file costs its whole row group, of a memory-mapped Arrow file only its
own bytes. ``datasets`` writes the copy once per machine, under a lock, into a folder that appears
once complete. Its own Parquet cache is keyed by path and time of the shards, and so returns old
rows for a shard that was replaced within the clock's resolution or with its time preserved; here
the key is the shards' checksums.
"""

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import datasets
import pyarrow as pa
from datasets.exceptions import DatasetGenerationError

from spatialreward.data.dataset import Dataset, RankingShard, Shard, default_cache
from spatialreward.data.packing.layout import Layout, opened
from spatialreward.data.packing.shards import EDITS
from spatialreward.errors import InvalidInputError
from spatialreward.folder_manifest import digest_file
from spatialreward.progress import track

_NAME_LETTERS = 32
_BYTES_A_BATCH = 16 * 2**20
# So many that only the bytes above limit a batch.
_MOST_ROWS_A_BATCH = 2**20
_Checked = tuple[Shard | RankingShard, str]
"""A shard with its required SHA-256."""


def cached_rows(
    data: Dataset, cache: Path | None = None, layout: Layout = EDITS
) -> datasets.Dataset:
    """All rows of a data set's shards of one kind, memory mapped, in their schema.

    Args:
        data: the data set.
        cache: folder for the copy; processes may share it. Default: ``default_cache()``.
        layout: of edits, or of rankings.

    Raises:
        InvalidInputError: a shard is damaged, or was replaced while reading; or the copy is
            damaged, or does not fit on the disk. Names the file or folder.
    """
    of_kind = data.shards if layout is EDITS else data.ranking_shards
    shards = [(shard, shard.sha256) for shard in of_kind]
    key = "".join(sha256 for _, sha256 in shards) + str(layout.schema)
    name = hashlib.sha256(key.encode()).hexdigest()[:_NAME_LETTERS]
    folder = (cache or default_cache()) / "rows"
    try:
        with _quietly():
            builder = _Copy(
                cache_dir=str(folder),
                config_id=name,
                writer_batch_size=_MOST_ROWS_A_BATCH,
                shards=tuple(shards),
                layout=layout,
            )
            builder.download_and_prepare()
    except OSError as error:
        raise InvalidInputError(
            f"{folder}: cannot keep a copy of {data} here: {error.strerror or error}"
        ) from error
    try:
        return builder.as_dataset(split="train").with_format("arrow")
    except (pa.ArrowException, OSError) as error:
        raise InvalidInputError(
            f"{builder.cache_dir}: this copy of {data} is damaged, remove it: {error}"
        ) from error


@dataclass
class _CopyConfig(datasets.BuilderConfig):
    shards: Sequence[_Checked] = ()
    layout: Layout = EDITS


class _Copy(datasets.ArrowBasedBuilder):
    """Writes the rows of checksummed shards of one kind unchanged."""

    VERSION = "1.0.0"
    BUILDER_CONFIG_CLASS = _CopyConfig

    def _info(self) -> datasets.DatasetInfo:
        return datasets.DatasetInfo(
            features=datasets.Features.from_arrow_schema(self.config.layout.schema)
        )

    def _split_generators(
        self, dl_manager: datasets.DownloadManager
    ) -> list[datasets.SplitGenerator]:
        return [datasets.SplitGenerator("train", {"shards": self.config.shards})]

    def _generate_tables(self, shards: Sequence[_Checked]) -> Iterator[tuple[int, pa.Table]]:
        layout = self.config.layout
        total = sum(_num_row_groups(shard, layout) for shard, _ in shards)
        groups = (group for shard, sha256 in shards for group in _row_groups(shard, sha256, layout))
        described = "copying row groups to this machine's cache"
        yield from enumerate(_batches(track(groups, total=total, description=described)))


def _batches(row_groups: Iterable[pa.Table]) -> Iterator[pa.Table]:
    """Joined row groups: opening the copy inspects each of its batches."""
    waiting: list[pa.Table] = []
    size = 0
    for group in row_groups:
        waiting.append(group)
        size += group.nbytes
        if size >= _BYTES_A_BATCH:
            yield pa.concat_tables(waiting, promote_options="default")
            waiting, size = [], 0
    if waiting:
        yield pa.concat_tables(waiting, promote_options="default")


def _num_row_groups(shard: Shard | RankingShard, layout: Layout) -> int:
    with opened(shard.path, shard.name, layout) as file:
        return file.num_row_groups


def _row_groups(shard: Shard | RankingShard, sha256: str, layout: Layout) -> Iterator[pa.Table]:
    """The row groups of a shard, whose checksum is verified after the last one."""
    with opened(shard.path, shard.name, layout) as file:
        columns = [name for name in layout.schema.names if name in file.schema_arrow.names]
        for number in range(file.num_row_groups):
            yield file.read_row_group(number, columns, use_threads=False)
    if digest_file(shard.path) != sha256:
        raise InvalidInputError(f"{shard.name}: was replaced while the data set was in use")


@contextmanager
def _quietly() -> Iterator[None]:
    """Suppress the bars of ``datasets``, which ``track`` replaces, and its wrapping errors."""
    shows_bars = not datasets.are_progress_bars_disabled()
    datasets.disable_progress_bars()
    try:
        yield
    except DatasetGenerationError as error:
        raise error.__cause__ or error from None
    finally:
        if shows_bars:
            datasets.enable_progress_bars()
