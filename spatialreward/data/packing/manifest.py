"""The manifest of a packed data set: ``manifest.json`` beside its shards."""

import hashlib
import json
import os
from collections import Counter
from collections.abc import Iterable, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, NonNegativeInt, PositiveInt, ValidationError

from spatialreward.data.edits import RowOrigin
from spatialreward.data.packing.layout import check_number
from spatialreward.errors import InvalidInputError
from spatialreward.folder_manifest import digest_file
from spatialreward.records import Record
from spatialreward.validation import first_problem

SCHEMA_VERSION: Literal[3] = 3
"""2 added the column ``truth``; 3 the column ``editor`` and labels that are a ``Judgement``."""
VERSION = "schema version {}"
"""Its wording in messages."""
FILE_NAME = "manifest.json"


class PackedShard(Record):
    """One Parquet file."""

    name: str
    """File name, beside the manifest."""
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    size_bytes: PositiveInt
    row_groups: tuple[PositiveInt, ...]
    """Rows of each row group, in order: a reader can find any row without opening the file."""
    first: RowOrigin
    """The source row behind the shard's first row."""
    last: RowOrigin

    @property
    def num_edits(self) -> int:
        """Rows of the shard, of any kind."""
        return sum(self.row_groups)


class Manifest(Record):
    """A packed data set: everything for reading and rebuilding it."""

    schema_version: Literal[3] = SCHEMA_VERSION
    shards: tuple[PackedShard, ...] = Field(min_length=1)
    rankings: tuple[PackedShard, ...] = ()
    """Parquet files of preferences, if the source has any; ``read_rankings`` reads them."""
    counts: dict[str, int]
    """Counts of edits by property: ``edits``, ``annotated``, ``extent/local``, ``operation/add``
    ...; likewise ``rankings``."""
    left_out: dict[str, int]
    """Dropped rows, by reason."""
    config: dict[str, Any]
    """The settings of its build."""
    made_by: str
    """Name and version of the library."""

    @property
    def num_edits(self) -> int:
        """Edits of all shards."""
        return sum(shard.num_edits for shard in self.shards)

    @property
    def files(self) -> tuple[PackedShard, ...]:
        """The shards of edits and of rankings, by name."""
        return tuple(sorted((*self.shards, *self.rankings), key=lambda shard: shard.name))

    @property
    def digest(self) -> str:
        """SHA-256 over the shards in order, as ``sha256sum *.parquet | sha256sum`` prints it.

        Equal digests mean equal content.
        """
        lines = (f"{shard.sha256}  {shard.name}\n" for shard in self.files)
        return hashlib.sha256("".join(lines).encode()).hexdigest()


class ShardReport(Record):
    """Report of a task that packed one shard, for merging; small enough for JSON.

    It is not part of the packed data set.
    """

    shard: PackedShard | None
    """None: all rows were dropped, so there is no file."""
    rankings: PackedShard | None = None
    """None: no rankings."""
    counts: dict[str, NonNegativeInt]
    """As in the manifest."""
    left_out: dict[str, NonNegativeInt]
    """As in the manifest."""


def gather(reports: Iterable[ShardReport], config: Mapping[str, Any]) -> Manifest:
    """The manifest for separately packed shards, in any order.

    Raises:
        InvalidInputError: two shards have the same name, or no shard holds an edit.
    """
    shards: dict[str, PackedShard] = {}
    rankings: dict[str, PackedShard] = {}
    counts: Counter[str] = Counter()
    left_out: Counter[str] = Counter()
    for report in reports:
        counts.update(report.counts)
        left_out.update(report.left_out)
        for kind, shard in ((shards, report.shard), (rankings, report.rankings)):
            if shard is None:
                continue
            if shard.name in kind:
                raise InvalidInputError(f"{shard.name}: two shards have this name")
            kind[shard.name] = shard
    if not shards:
        most = left_out.most_common(1)
        why = f"; most rows were dropped for {most[0][0]!r} ({most[0][1]:,})" if most else ""
        raise InvalidInputError(f"no shard holds an edit, so there is nothing to gather{why}")
    return Manifest(
        shards=tuple(shards[name] for name in sorted(shards)),
        rankings=tuple(rankings[name] for name in sorted(rankings)),
        counts=dict(sorted(counts.items())),
        left_out=dict(sorted(left_out.items())),
        config=dict(config),
        made_by=f"spatialreward {version('spatialreward')}",
    )


def write_manifest(manifest: Manifest, folder: Path) -> Path:
    """Write ``manifest.json`` atomically; returns its path."""
    path = folder / FILE_NAME
    unfinished = path.with_name(path.name + ".partial")
    unfinished.write_text(manifest.model_dump_json(indent=2) + "\n", encoding="utf-8")
    os.replace(unfinished, path)
    return path


def read_manifest(folder: Path) -> Manifest:
    """The manifest of the packed data set in ``folder``; does not read its shards.

    Raises:
        InvalidInputError: it is missing, malformed, or of another version.
    """
    path = folder / FILE_NAME
    try:
        return parse_manifest(path.read_bytes(), str(path))
    except (FileNotFoundError, NotADirectoryError) as error:
        raise InvalidInputError(
            f"{folder}: no packed data set here, expected {FILE_NAME}"
        ) from error


def parse_manifest(data: bytes, name: str) -> Manifest:
    """Parse a manifest from elsewhere, such as S3; ``name`` identifies it in errors.

    Raises:
        InvalidInputError: it is malformed, or of another version.
    """
    try:
        fields = json.loads(data)
    except ValueError as error:
        raise InvalidInputError(f"{name}: is not JSON: {error}") from error
    found = fields.get("schema_version") if isinstance(fields, dict) else None
    if isinstance(found, int):
        check_number(found, SCHEMA_VERSION, name, VERSION)
    try:
        return Manifest.model_validate(fields)
    except ValidationError as error:
        raise InvalidInputError(f"{name}: {first_problem(error, Manifest, fields)}") from error


def verify(folder: Path, name: str = "") -> Manifest:
    """Check that every shard in ``folder`` matches the manifest; reads all of them.

    ``name`` identifies the folder in errors.

    Raises:
        InvalidInputError: a shard is missing or differs; names every such file.
    """
    manifest = read_manifest(folder)
    problems = [
        f"{shard.name} {problem}"
        for shard in manifest.files
        if (problem := _problem_with(shard, folder / shard.name))
    ]
    if problems:
        raise InvalidInputError(
            f"{name or folder}: {len(problems)} of {len(manifest.files)} shards are not as "
            f"{FILE_NAME} says: {'; '.join(problems)}"
        )
    return manifest


def _problem_with(shard: PackedShard, path: Path) -> str | None:
    if not path.is_file():
        return "is missing"
    if (size := path.stat().st_size) != shard.size_bytes:
        return f"has {size:,} bytes, expected {shard.size_bytes:,}"
    if (sha256 := digest_file(path)) != shard.sha256:
        return f"has sha256 {sha256}, expected {shard.sha256}"
    return None
