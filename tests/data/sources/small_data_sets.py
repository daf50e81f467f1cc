"""Data sets in miniature, written to disk as the real ones are."""

import io
import json
import tarfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from spatialreward.data.edits import LabelledEdit, Rejected
from spatialreward.data.sources.interface import EditSource

IMAGE = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
"""How Hugging Face data sets keep a picture in Parquet."""


def picture(text: str) -> bytes:
    """Bytes that stand for a picture; sources must not look into them."""
    return b"\x89PNG " + text.encode()


def image(text: str) -> dict[str, Any]:
    return {"bytes": picture(text), "path": f"{text}.png"}


def write_parquet(path: Path, rows: list[dict], schema: pa.Schema, **options: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.Table.from_pylist(rows, schema=schema), path, **options)
    return path


def write_jsonl(path: Path, rows: Iterable[dict | bytes]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = [row if isinstance(row, bytes) else json.dumps(row).encode() for row in rows]
    path.write_bytes(b"".join(line + b"\n" for line in lines))
    return path


def write_pictures(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(picture(name))


def write_tar(path: Path, files: Iterable[tuple[str, bytes]], mode: str = "w") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, mode) as tar:
        for name, data in files:
            header = tarfile.TarInfo(name)
            header.size = len(data)
            tar.addfile(header, io.BytesIO(data))
    return path


def everything(source: EditSource, num_shards: int = 1) -> list[LabelledEdit | Rejected]:
    """All rows of all parts, by id; parts are disjoint and together the whole."""
    return sorted(
        (row for shard in range(num_shards) for row in source.rows(shard, num_shards)),
        key=lambda row: row.id,
    )


def edits_of(source: EditSource) -> list[LabelledEdit]:
    rows = everything(source)
    rejects = [row for row in rows if isinstance(row, Rejected)]
    assert not rejects, rejects
    return rows


def reasons_of(source: EditSource) -> list[tuple[str, str]]:
    """Id and reason of each reject."""
    return [(row.id, row.reason) for row in everything(source) if isinstance(row, Rejected)]
