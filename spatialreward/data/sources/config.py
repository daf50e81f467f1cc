"""Settings of the sources: where a data set lies, and which of its columns holds what."""

from typing import Annotated, Any, Literal

from pydantic import Field, PositiveInt, field_validator

from spatialreward.data.sources.columns import AnyColumns, Columns, RankingColumns
from spatialreward.data.sources.presets import PRESETS
from spatialreward.records import Record
from spatialreward.world.config import DataConfig


class _Mapped(Record):
    """What sources with columns have in common."""

    kind: str

    columns: str | tuple[Columns, ...] = Field(min_length=1)
    """Name of a preset, or how an edit is read from a row; several read several edits."""
    rankings: tuple[RankingColumns, ...] = ()
    """How a preference is read from a row, beside its edits; added to those of a preset."""
    name: str = ""
    """Begins every id, to tell apart data sets that are built together; a preset has its own."""

    @field_validator("columns", mode="before")
    @classmethod
    def _one_is_enough(cls, columns: Any) -> Any:
        return (columns,) if isinstance(columns, dict | Columns) else columns

    @field_validator("columns")
    @classmethod
    def _preset_exists(cls, columns: str | tuple[Columns, ...]) -> str | tuple[Columns, ...]:
        if isinstance(columns, str) and columns not in PRESETS:
            raise ValueError(f"expected columns or one of {', '.join(PRESETS)}, got {columns!r}")
        return columns

    @property
    def mapping(self) -> tuple[Columns, ...]:
        """The columns, also if they are a preset's."""
        columns = self.columns
        return PRESETS[columns].columns if isinstance(columns, str) else columns

    @property
    def everything(self) -> tuple[AnyColumns, ...]:
        """The columns of edits and of rankings, also if they are a preset's."""
        preset = PRESETS[self.columns].rankings if isinstance(self.columns, str) else ()
        return (*self.mapping, *preset, *self.rankings)

    @field_validator("rankings", mode="before")
    @classmethod
    def _one_ranking_is_enough(cls, rankings: Any) -> Any:
        return (rankings,) if isinstance(rankings, dict | RankingColumns) else rankings

    def describe(self) -> dict[str, Any]:
        """What ids and edits follow from, beside the data: the beginning of ``EditSource``'s."""
        return {
            "kind": self.kind,
            "ids": self.id_prefix,
            "columns": [columns.model_dump(mode="json") for columns in self.everything],
        }

    @property
    def id_prefix(self) -> str:
        """What ids begin with."""
        return self.name or (self.columns if isinstance(self.columns, str) else "")


class _Local(_Mapped):
    folder: str = Field(min_length=1)
    """Where the data set lies; ids and rejects name files relative to it."""


class JsonlSource(_Local):
    """A folder with JSON Lines, or with JSON files of one list each, and pictures beside them."""

    kind: Literal["jsonl"] = "jsonl"
    files: str = "**/*.jsonl"
    """Which files have the rows, as a pattern; those that end in ``.json`` hold one list."""
    pictures: str = ""
    """Folder that the paths of pictures are relative to; empty: ``folder``."""


class ParquetSource(_Local):
    """Parquet files as Hugging Face data sets have them, with the pictures inside or beside."""

    kind: Literal["parquet"] = "parquet"
    files: str = "**/*.parquet"
    pictures: str = ""
    """Folder that the paths of pictures are relative to; empty: ``folder``."""


class HubSource(_Mapped):
    """A data set on the Hugging Face hub, streamed; the named one only, and no code of its own."""

    kind: Literal["hub"] = "hub"
    id: str = Field(min_length=1)
    """``owner/name``, or a local folder in the same form."""
    subset: str | None = None
    split: str = "train"
    revision: str | None = None
    """Commit, branch or tag; a commit makes a build repeatable."""


class WebDatasetSource(_Local):
    """WebDataset tars: consecutive files of one name, the columns named by their extensions."""

    kind: Literal["webdataset"] = "webdataset"
    files: str = "**/*.tar"


class WorldSource(Record):
    """Edits of the generated world, whose truth is known."""

    kind: Literal["world"] = "world"
    data: DataConfig = DataConfig()
    split: Literal["train", "heldout"] = "train"
    count: PositiveInt = 1_000


SourceConfig = Annotated[
    JsonlSource | ParquetSource | HubSource | WebDatasetSource | WorldSource,
    Field(discriminator="kind"),
]
