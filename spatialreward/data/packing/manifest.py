"""What a packed data set says about itself; ``manifest.json`` beside its shards."""

from typing import Any, Literal

from pydantic import Field, PositiveInt

from spatialreward.data.edits import RowOrigin
from spatialreward.records import Record

SCHEMA_VERSION: Literal[1] = 1
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
    """Row of the source that the shard's first row was made of."""
    last: RowOrigin

    @property
    def num_edits(self) -> int:
        """Rows of the shard."""
        return sum(self.row_groups)


class Manifest(Record):
    """A packed data set: everything that is needed to read it and to make it again."""

    schema_version: Literal[1] = SCHEMA_VERSION
    shards: tuple[PackedShard, ...] = Field(min_length=1)
    counts: dict[str, int]
    """Edits by what they are: ``edits``, ``annotated``, ``extent/local``, ``operation/add`` ..."""
    left_out: dict[str, int]
    """Rows that are not in it, by reason."""
    config: dict[str, Any]
    """The settings that it was built with."""
    made_by: str
    """Name and version of the library."""

    @property
    def num_edits(self) -> int:
        """Edits of all shards."""
        return sum(shard.num_edits for shard in self.shards)
