"""The copy of a data set's shards that rows are read from by number: Arrow files, kept by content.

A row of a Parquet file costs its whole row group, a row of a memory-mapped Arrow file its own
bytes. ``datasets`` writes the copy, once a machine: under a lock, into a folder that takes its name
when it is complete. Its own reader of Parquet keeps copies by path and time of the shards, and so
gives old rows for a shard that was replaced within the clock's step or with its time kept; here the
checksums of the shards are the name.
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
# As many as there are in so many bytes.
_MOST_ROWS_A_BATCH = 2**20
_Checked = tuple[Shard | RankingShard, str]
"""A shard and the SHA-256 that it must have."""


def cached_rows(
    data: Dataset, cache: Path | None = None, layout: Layout = EDITS
) -> datasets.Dataset:
    """All rows of a data set's shards of one kind, memory mapped, in the form of their schema.

    Args:
        data: where the shards are.
        cache: where the copy is kept; processes may share it. Default: ``default_cache()``.
        layout: of edits, or of rankings.

    Raises:
        InvalidInputError: a shard is damaged, or was replaced while it was read; or the copy is
            damaged, or there is no room for it. Names the file or folder.
    """
    of_kind = data.shards if layout is EDITS else data.ranking_shards
    shards = [(shard, shard.sha256) for shard in of_kind]
    told = "".join(sha256 for _, sha256 in shards) + str(layout.schema)
    name = hashlib.sha256(told.encode()).hexdigest()[:_NAME_LETTERS]
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
    """Writes the rows of shards of one kind, given with their checksums, as they are."""

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
    """Row groups joined: opening the copy looks at each of its batches."""
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
    """The row groups of a shard, which is compared with its checksum after the last one."""
    with opened(shard.path, shard.name, layout) as file:
        columns = [name for name in layout.schema.names if name in file.schema_arrow.names]
        for number in range(file.num_row_groups):
            yield file.read_row_group(number, columns, use_threads=False)
    if digest_file(shard.path) != sha256:
        raise InvalidInputError(f"{shard.name}: was replaced while the data set was in use")


@contextmanager
def _quietly() -> Iterator[None]:
    """Without the bars of ``datasets``, which ``track`` shows, nor its error around the cause."""
    shows_bars = not datasets.are_progress_bars_disabled()
    datasets.disable_progress_bars()
    try:
        yield
    except DatasetGenerationError as error:
        raise error.__cause__ or error from None
    finally:
        if shows_bars:
            datasets.enable_progress_bars()
