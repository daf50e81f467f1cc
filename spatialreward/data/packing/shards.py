"""Writes and reads one shard by row groups; the file appears only when complete.

The same edits in the same order give the same bytes, so a shard's checksum shows whether a second
run gave the same result. Pictures are compressed already and stored as they are.
"""

import json
import os
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, NamedTuple, Self

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from spatialreward.data.edits import LabelledEdit, RowOrigin
from spatialreward.data.packing.layout import Layout, opened
from spatialreward.data.packing.manifest import PackedShard
from spatialreward.data.packing.schema import (
    FACTS,
    SCHEMA,
    check_schema,
    edits_of,
    to_row,
    with_empty_pictures,
)
from spatialreward.errors import InvalidInputError
from spatialreward.folder_manifest import digest_file
from spatialreward.records import Record

ROWS_A_GROUP = 64
BYTES_A_GROUP = 16 * 2**20

EDITS = Layout(
    SCHEMA,
    to_row,
    check_schema,
    ("operation", "editor", "license", "extent", "origin_file"),
    "edits",
)
"""The shard layout of edits."""


class ShardWriter:
    """Writes one shard during a ``with`` block; memory is bounded by one row group.

    Rows go to ``NAME.partial``, which is renamed when the block succeeds and removed when it
    raises. A killed process leaves it for the next run to overwrite. Row groups hold at most
    ``rows_a_group`` records and ``bytes_a_group`` bytes of pictures, or one larger record.
    """

    def __init__(
        self,
        path: Path,
        *,
        layout: Layout = EDITS,
        rows_a_group: int = ROWS_A_GROUP,
        bytes_a_group: int = BYTES_A_GROUP,
    ) -> None:
        """Prepare to write ``path``, with edits or records of another ``layout``.

        Its folder must exist.
        """
        if rows_a_group < 1 or bytes_a_group < 1:
            raise InvalidInputError(
                f"{path.name}: expected row groups of at least one row and one byte, "
                f"got {rows_a_group} and {bytes_a_group}"
            )
        self._path = path
        self._unfinished = path.with_name(path.name + ".partial")
        self._layout = layout
        self._limits = rows_a_group, bytes_a_group
        self._rows: list[dict[str, Any]] = []
        self._bytes = 0
        self._shard: PackedShard | None = None

    @property
    def shard(self) -> PackedShard | None:
        """The written shard, after the block; None without rows, and so without a file."""
        return self._shard

    def __enter__(self) -> Self:
        """Open the unfinished file."""
        self._parquet = pq.ParquetWriter(
            self._unfinished,
            self._layout.schema,
            compression=self._layout.compression,
            use_dictionary=list(self._layout.dictionaries),
            write_statistics=self._layout.with_statistics,
            write_page_checksum=True,
        )
        return self

    def write(self, record: Record) -> None:
        """Add an edit, or another record of the layout.

        Raises:
            InvalidInputError: it cannot be stored; the writer remains usable.
        """
        row = self._layout.to_row(record)
        rows, size = self._limits
        if self._rows and self._bytes + row["picture_bytes"] > size:
            self._end_group()
        self._rows.append(row)
        self._bytes += row["picture_bytes"]
        if len(self._rows) == rows:
            self._end_group()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Rename the file, or remove it if the block raised or wrote nothing."""
        try:
            if kind is None and self._rows:
                self._end_group()
            self._parquet.close()
            if kind is None:
                self._finish()
        finally:
            self._unfinished.unlink(missing_ok=True)

    def _end_group(self) -> None:
        table = pa.Table.from_pylist(self._rows, schema=self._layout.schema)
        self._rows, self._bytes = [], 0
        self._parquet.write_table(table, row_group_size=table.num_rows)

    def _finish(self) -> None:
        if pq.read_metadata(self._unfinished).num_rows == 0:
            # Remove a file of this name from an earlier run with other settings.
            self._path.unlink(missing_ok=True)
            return
        with self._unfinished.open("rb") as file:
            os.fsync(file.fileno())
        described = describe_shard(self._unfinished, self._layout)
        self._unfinished.replace(self._path)
        self._shard = described.model_copy(update={"name": self._path.name})


def write_shard(
    path: Path,
    edits: Iterable[LabelledEdit],
    *,
    rows_a_group: int = ROWS_A_GROUP,
    bytes_a_group: int = BYTES_A_GROUP,
) -> PackedShard | None:
    """Write a shard from an iterable of edits with ``ShardWriter``.

    Returns:
        The written shard; None without edits, and so without a file.

    Raises:
        InvalidInputError: an edit cannot be stored.
    """
    with ShardWriter(path, rows_a_group=rows_a_group, bytes_a_group=bytes_a_group) as writer:
        for edit in edits:
            writer.write(edit)
    return writer.shard


def describe_shard(path: Path, layout: Layout = EDITS) -> PackedShard:
    """A shard's entry for a manifest; hashes pictures without decoding them.

    Raises:
        InvalidInputError: the file has another layout, or is damaged.
    """
    with opened(path, str(path), layout) as file:
        rows = [file.metadata.row_group(number).num_rows for number in range(file.num_row_groups)]
        if not rows:
            raise InvalidInputError(f"{path}: holds no {layout.plural}")
        ends = [
            file.read_row_group(number, columns=["origin_file", "origin_row"], use_threads=False)
            for number in (0, len(rows) - 1)
        ]
    return PackedShard(
        name=path.name,
        sha256=digest_file(path),
        size_bytes=path.stat().st_size,
        row_groups=tuple(rows),
        first=_origin(ends[0], 0),
        last=_origin(ends[1], ends[1].num_rows - 1),
    )


class Footer(NamedTuple):
    """Content of a shard's footer."""

    row_groups: tuple[int, ...]
    """Rows of each row group."""
    present: Mapping[str, int]
    """Number of non-null rows, by column; for flat columns without pictures."""


def read_footer(shard: Path) -> Footer:
    """Read a shard's footer, but no rows.

    Raises:
        InvalidInputError: the file is not a shard of edits, or its footer is damaged.
    """
    with opened(shard, str(shard), EDITS) as file:
        groups = [file.metadata.row_group(number) for number in range(file.num_row_groups)]
        present: Counter[str] = Counter()
        for group in groups:
            for number in range(group.num_columns):
                column = group.column(number)
                if column.path_in_schema in FACTS and column.statistics is not None:
                    present[column.path_in_schema] += column.statistics.num_values
        return Footer(tuple(group.num_rows for group in groups), present)


def read_edits(
    shard: Path | BinaryIO,
    row_groups: Sequence[int] | None = None,
    *,
    name: str = "",
    pictures: bool = True,
) -> Iterator[LabelledEdit]:
    """The edits of a shard in order, or of some row groups; one row group in memory.

    Args:
        shard: a file, or a readable and seekable stream, such as an object in S3.
        row_groups: numbers of row groups, in reading order.
        name: of the shard in errors, if it is not a file on disk.
        pictures: False replaces each by an empty file.

    Raises:
        InvalidInputError: the shard is damaged or not ours; or there is no such row group.
    """
    name = name or str(shard)
    columns = None if pictures else list(FACTS)
    with opened(shard, name, EDITS) as file:
        there = range(file.num_row_groups)
        for number in there if row_groups is None else row_groups:
            if number not in there:
                raise InvalidInputError(
                    f"{name}: no row group {number}, there are {file.num_row_groups}"
                )
            rows = file.read_row_group(number, columns, use_threads=False)
            yield from edits_of(rows if pictures else with_empty_pictures(rows), name)


def read_edit(shard: Path, row: int) -> LabelledEdit:
    """One edit of a shard by row; reads only its row group.

    Raises:
        InvalidInputError: the shard is damaged or not ours; or there is no such row.
    """
    with opened(shard, str(shard), EDITS) as file:
        first = 0
        for number in range(file.num_row_groups):
            rows = file.metadata.row_group(number).num_rows
            if first <= row < first + rows:
                group = file.read_row_group(number, use_threads=False)
                return edits_of(group.slice(row - first, 1), str(shard))[0]
            first += rows
    raise InvalidInputError(f"{shard}: no row {row}, there are {first}")


def read_facts(
    shard: Path | BinaryIO, columns: Sequence[str] | None = None, *, name: str = ""
) -> pa.Table:
    """All rows of a shard without pictures; only the named columns, if any.

    Raises:
        InvalidInputError: the shard is damaged or not ours.
    """
    with opened(shard, name or str(shard), EDITS) as file:
        return file.read(list(FACTS if columns is None else columns), use_threads=False)


def count_edits(shard: Path | BinaryIO, *, name: str = "") -> dict[str, int]:
    """A shard's counts for a manifest, from flat columns alone.

    ``edits``; ``prompts``: without an edited picture; ``without_source``: only an edited picture;
    ``annotated``; ``labelled_by/NAME``: the teacher's model, or the label's source;
    ``lost_label/WHY``: a dropped label of the source; ``verified``: a second pass agreed;
    ``extent/WHICH``; ``operation/WHICH`` and ``license/WHICH``, ``unknown`` if the data set has
    none.

    Raises:
        InvalidInputError: the shard is damaged or not ours.
    """
    columns = [
        *("operation", "license", "extent", "annotated", "verified"),
        *("num_sources", "lost_label", "annotation"),
    ]
    facts = read_facts(shard, columns, name=name)
    counts = Counter({"edits": facts.num_rows})
    counts["annotated"] = pc.sum(facts["annotated"]).as_py() or 0
    counts["verified"] = pc.sum(facts["verified"]).as_py() or 0
    counts["without_source"] = pc.sum(pc.equal(facts["num_sources"], 0)).as_py() or 0
    counts["prompts"] = facts["extent"].null_count - counts["without_source"]
    for annotation in facts["annotation"].drop_null().to_pylist():
        counts[f"labelled_by/{json.loads(annotation)['judged_by']}"] += 1
    for lost in facts["lost_label"].to_pylist():
        if lost:
            counts[f"lost_label/{lost.partition(':')[0]}"] += 1
    for extent in facts["extent"].drop_null().to_pylist():
        counts[f"extent/{extent}"] += 1
    for column in ("operation", "license"):
        for value in facts[column].to_pylist():
            counts[f"{column}/{value or 'unknown'}"] += 1
    return dict(counts)


def _origin(rows: pa.Table, number: int) -> RowOrigin:
    return RowOrigin(
        file=rows["origin_file"][number].as_py(), row=rows["origin_row"][number].as_py()
    )
