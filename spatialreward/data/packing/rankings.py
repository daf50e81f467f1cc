"""Rankings in Parquet: separate shards beside those of the edits, ``rankings-*.parquet``."""

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO

import pyarrow as pa
from pydantic import TypeAdapter, ValidationError

from spatialreward.data.edits import RankedPicture, Ranking, RowOrigin
from spatialreward.data.packing.layout import Layout, check_version, opened
from spatialreward.errors import InvalidInputError

RANKINGS_VERSION = 1

_VERSION_KEY = b"spatialreward.rankings_version"
_TEXTS, _FILES = pa.list_(pa.string()), pa.list_(pa.binary())
RANKINGS_SCHEMA = pa.schema(
    [
        pa.field("id", pa.string(), nullable=False),
        pa.field("instruction", pa.string(), nullable=False),
        pa.field("operation", pa.string(), nullable=False),
        pa.field("license", pa.string(), nullable=False),
        # A JSON object: by dimension, the rank of each edited picture, 0 the best one's.
        pa.field("orders", pa.string(), nullable=False),
        pa.field("edit_ids", _TEXTS, nullable=False),
        pa.field("editors", _TEXTS, nullable=False),
        pa.field("fingerprints", _TEXTS, nullable=False),
        pa.field("picture_bytes", pa.int64(), nullable=False),
        pa.field("origin_file", pa.string(), nullable=False),
        pa.field("origin_row", pa.string(), nullable=False),
        pa.field("sources", _FILES, nullable=False),
        pa.field("edited", _FILES, nullable=False),
    ],
    metadata={_VERSION_KEY: str(RANKINGS_VERSION).encode()},
)
_PICTURES = ("sources", "edited")
_ORDERS = TypeAdapter(dict[str, tuple[int, ...]])


def read_rankings(
    shard: Path | BinaryIO, *, name: str = "", pictures: bool = True
) -> Iterator[Ranking]:
    """The rankings of a shard in order; one row group in memory.

    Args:
        shard: a file, or a readable and seekable stream, such as an object in S3.
        name: of the shard in errors, if it is not a file on disk.
        pictures: False replaces each by an empty file.

    Raises:
        InvalidInputError: the shard is damaged, holds no rankings, or has another version.
    """
    name = name or str(shard)
    columns = None if pictures else [one for one in RANKINGS_SCHEMA.names if one not in _PICTURES]
    with opened(shard, name, RANKINGS) as file:
        for number in range(file.num_row_groups):
            table = file.read_row_group(number, columns, use_threads=False)
            yield from rankings_of(table, name)


def rankings_of(rows: pa.Table, name: str) -> list[Ranking]:
    """The rankings in rows of a shard; without columns of pictures, with empty files.

    Raises:
        InvalidInputError: a row is not a ranking; ``name`` identifies the shard.
    """
    return [_from_row(row, name) for row in rows.to_pylist()]


def num_rankings_in(shard: Path) -> int:
    """Number of a shard's rankings, from its footer.

    Raises:
        InvalidInputError: the shard is damaged or does not hold rankings.
    """
    with opened(shard, str(shard), RANKINGS) as file:
        return file.metadata.num_rows


def count_rankings(shard: Path) -> dict[str, int]:
    """A shard's counts for a manifest; reads no pictures.

    ``rankings``; ``ranked/DIMENSION``: those with an order in it; ``tied/DIMENSION``: those of them
    with a shared rank.

    Raises:
        InvalidInputError: the shard is damaged or does not hold rankings.
    """
    with opened(shard, str(shard), RANKINGS) as file:
        orders = file.read(["orders"], use_threads=False)["orders"].to_pylist()
    counts = Counter({"rankings": len(orders)})
    for order in map(json.loads, orders):
        for dimension, ranks in order.items():
            counts[f"ranked/{dimension}"] += 1
            counts[f"tied/{dimension}"] += len(set(ranks)) < len(ranks)
    return dict(counts)


def _check_schema(schema: pa.Schema, name: str) -> None:
    check_version(
        schema,
        _VERSION_KEY,
        RANKINGS_VERSION,
        name,
        kind="rankings",
        version="version {} of rankings",
    )


def _to_row(ranking: Ranking) -> dict[str, Any]:
    edited = [picture.edited for picture in ranking.edits]
    return {
        "id": ranking.id,
        "instruction": ranking.instruction,
        "operation": ranking.operation,
        "license": ranking.license,
        "orders": json.dumps(ranking.orders, ensure_ascii=False),
        "edit_ids": [picture.id for picture in ranking.edits],
        "editors": [picture.editor for picture in ranking.edits],
        "fingerprints": list(ranking.fingerprints),
        "picture_bytes": sum(map(len, (*ranking.sources, *edited))),
        "origin_file": ranking.origin.file,
        "origin_row": ranking.origin.row,
        "sources": list(ranking.sources),
        "edited": edited,
    }


def _from_row(row: Mapping[str, Any], name: str) -> Ranking:
    try:
        ids = row["edit_ids"]
        edited = row.get("edited", [b""] * len(ids))
        # Fingerprints: the sources' first, then one per edited picture.
        sources = row.get("sources", [b""] * (len(row["fingerprints"]) - len(ids)))
        edits = zip(ids, edited, row["editors"], strict=True)
        return Ranking(
            id=row["id"],
            instruction=row["instruction"],
            sources=tuple(sources),
            edits=tuple(
                RankedPicture(id=id, edited=edited, editor=editor) for id, edited, editor in edits
            ),
            orders=_ORDERS.validate_json(row["orders"]),
            operation=row["operation"],
            fingerprints=tuple(row["fingerprints"]),
            license=row["license"],
            origin=RowOrigin(file=row["origin_file"], row=row["origin_row"]),
        )
    except (KeyError, TypeError, ValueError, ValidationError) as error:
        raise InvalidInputError(f"{name}: ranking {row.get('id')}: {error}") from error


RANKINGS = Layout(
    RANKINGS_SCHEMA, _to_row, _check_schema, ("operation", "license", "origin_file"), "rankings"
)
"""The shard layout of rankings."""
