"""Settings of the sources: location of a data set, and meaning of its columns."""

from typing import Annotated, Any, Literal

from pydantic import Field, PositiveInt, field_validator

from spatialreward.data.sources.columns import AnyColumns, Columns, RankingColumns
from spatialreward.data.sources.presets import PRESETS
from spatialreward.records import Record
from spatialreward.world.config import DataConfig


class _Mapped(Record):
    """Common settings of sources with columns."""

    kind: str

    columns: str | tuple[Columns, ...] = Field(min_length=1)
    """Name of a preset, or the mapping of an edit; several read several edits per row."""
    rankings: tuple[RankingColumns, ...] = ()
    """Mapping of a preference, beside its edits; extends those of a preset."""
    name: str = ""
    """Prefix of every id, to distinguish data sets in one build; a preset has its own."""

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
        """The columns, also of a preset."""
        columns = self.columns
        return PRESETS[columns].columns if isinstance(columns, str) else columns

    @property
    def everything(self) -> tuple[AnyColumns, ...]:
        """The columns of edits and of rankings, also of a preset."""
        preset = PRESETS[self.columns].rankings if isinstance(self.columns, str) else ()
        return (*self.mapping, *preset, *self.rankings)

    @field_validator("rankings", mode="before")
    @classmethod
    def _one_ranking_is_enough(cls, rankings: Any) -> Any:
        return (rankings,) if isinstance(rankings, dict | RankingColumns) else rankings

    def describe(self) -> dict[str, Any]:
        """Settings that affect ids and edits, beside the data: the start of ``EditSource``'s."""
        return {
            "kind": self.kind,
            "ids": self.id_prefix,
            "columns": [columns.model_dump(mode="json") for columns in self.everything],
        }

    @property
    def id_prefix(self) -> str:
        """Prefix of ids."""
        return self.name or (self.columns if isinstance(self.columns, str) else "")


class _Local(_Mapped):
    folder: str = Field(min_length=1)
    """Root of the data set; ids and rejects name files relative to it."""


class JsonlSource(_Local):
    """A folder with JSON Lines, or with JSON files of one list each, and pictures beside them."""

    kind: Literal["jsonl"] = "jsonl"
    files: str = "**/*.jsonl"
    """Pattern of the files with rows; those that end in ``.json`` hold one list."""
    pictures: str = ""
    """Root of relative picture paths; empty: ``folder``."""


class ParquetSource(_Local):
    """Parquet files in the form of Hugging Face data sets, with pictures inside or beside."""

    kind: Literal["parquet"] = "parquet"
    files: str = "**/*.parquet"
    pictures: str = ""
    """Root of relative picture paths; empty: ``folder``."""


class HubSource(_Mapped):
    """A data set on the Hugging Face hub, streamed; without running its code."""

    kind: Literal["hub"] = "hub"
    id: str = Field(min_length=1)
    """``owner/name``, or a local folder in the same form."""
    subset: str | None = None
    split: str = "train"
    revision: str | None = None
    """Commit, branch or tag; a commit makes a build reproducible."""


class WebDatasetSource(_Local):
    """WebDataset tars: consecutive files of one name, with extensions as columns."""

    kind: Literal["webdataset"] = "webdataset"
    files: str = "**/*.tar"


class WorldSource(Record):
    """Edits of the generated world, with known truth."""

    kind: Literal["world"] = "world"
    data: DataConfig = DataConfig()
    split: Literal["train", "heldout"] = "train"
    count: PositiveInt = 1_000


SourceConfig = Annotated[
    JsonlSource | ParquetSource | HubSource | WebDatasetSource | WorldSource,
    Field(discriminator="kind"),
]
