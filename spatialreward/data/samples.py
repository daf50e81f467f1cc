"""Edit samples and the Parquet shards they are kept in."""

import itertools
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Literal

import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image
from pydantic import ValidationError

from spatialreward.data.world.operations import Operation
from spatialreward.data.world.rendering import Look
from spatialreward.data.world.scene import Scene
from spatialreward.data.world.truth import Truth
from spatialreward.errors import InvalidInputError
from spatialreward.images import decode_image
from spatialreward.records import Record

Split = Literal["train", "heldout"]

_SCHEMA = pa.schema(
    [
        ("id", pa.string()),
        ("instruction", pa.string()),
        ("grade", pa.string()),
        ("source", pa.binary()),
        ("edited", pa.binary()),
        ("truth", pa.string()),
        ("world", pa.string()),
    ]
)


class World(Record):
    """How a generated sample came about: enough to paint it again at any size."""

    source: Scene
    operations: tuple[Operation, ...]
    edited: Scene
    look: Look


class EditSample(Record):
    """One edit: two PNG pictures, the instruction, and the truth about it."""

    id: str
    instruction: str
    grade: str
    """How the edit was made: one of the world's grades."""
    source: bytes
    edited: bytes
    truth: Truth
    world: World

    def images(self) -> tuple[Image.Image, Image.Image]:
        """The source picture and the edited one, RGB."""
        return (
            decode_image(self.source, f"{self.id}/source"),
            decode_image(self.edited, f"{self.id}/edited"),
        )


def write_samples(path: Path, samples: Iterable[EditSample]) -> int:
    """Write one shard; the file appears only when it is complete. Returns the number of samples."""
    rows = [_to_row(sample) for sample in samples]
    unfinished = path.with_suffix(".partial")
    pq.write_table(pa.Table.from_pylist(rows, schema=_SCHEMA), unfinished)
    unfinished.rename(path)
    return len(rows)


def read_samples(folder: Path) -> Iterator[EditSample]:
    """All samples of a data set folder, shard by shard in the order of their names.

    Raises:
        InvalidInputError: there is no shard, or a row is no edit sample.
    """
    shards = shard_paths(folder)
    for shard in shards:
        for batch in pq.ParquetFile(shard).iter_batches(batch_size=1024):
            for row in batch.to_pylist():
                yield _from_row(row, shard)


def read_endlessly(folder: Path) -> Iterator[EditSample]:
    """As ``read_samples``, from the beginning again whenever it has come to the end."""
    return itertools.chain.from_iterable(read_samples(folder) for _ in itertools.count())


def shard_paths(folder: Path) -> Sequence[Path]:
    """The data set's shards, sorted by name.

    Raises:
        InvalidInputError: the folder holds none.
    """
    shards = sorted(folder.glob("*.parquet"))
    if not shards:
        raise InvalidInputError(f"{folder}: no data set here, expected *.parquet files")
    return shards


def count_samples(folder: Path) -> int:
    """Number of samples, from the shards' footers alone."""
    return sum(pq.ParquetFile(shard).metadata.num_rows for shard in shard_paths(folder))


def _to_row(sample: EditSample) -> dict[str, str | bytes]:
    return {
        "id": sample.id,
        "instruction": sample.instruction,
        "grade": sample.grade,
        "source": sample.source,
        "edited": sample.edited,
        "truth": sample.truth.model_dump_json(),
        "world": sample.world.model_dump_json(),
    }


def _from_row(row: dict[str, str | bytes], shard: Path) -> EditSample:
    try:
        return EditSample(
            **row
            | {
                "truth": Truth.model_validate_json(row["truth"]),
                "world": World.model_validate_json(row["world"]),
            }
        )
    except (ValidationError, TypeError) as error:
        raise InvalidInputError(f"{shard}: sample {row.get('id')}: {error}") from error
