"""Settings of building training data from an edit data set."""

from pathlib import Path
from typing import Self

from pydantic import Field, PositiveInt, model_validator

from spatialreward.data.corpus.pictures import PictureConfig
from spatialreward.data.edits import Share
from spatialreward.data.filters.config import FilterConfig
from spatialreward.data.regions.config import RegionConfig
from spatialreward.data.sources.config import SourceConfig
from spatialreward.data.teacher.config import TeacherConfig
from spatialreward.records import Record


class CorpusConfig(Record):
    """All inputs of packed training data."""

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9-]{0,62}$")
    """Name of the resulting data set; part of its address in the object store."""
    source: SourceConfig
    """Origin of the edits."""
    num_shards: PositiveInt = Field(1, le=10_000)
    """Parts that are built independently; 1,000 edits a shard is a good size."""
    pictures: PictureConfig = PictureConfig()
    regions: RegionConfig = RegionConfig()
    filters: FilterConfig = FilterConfig()
    second_opinion: bool = False
    """Ask the teacher for boxes of the objects in the instruction, and reconcile them with the
    pixels before it annotates."""
    teacher: TeacherConfig | None = None
    """Annotator of edits that the source leaves unlabelled: describes the regions and scores the
    edit.
    None: add regions only."""
    relabel: bool = False
    """Ask the teacher also about edits with a label from the source; its answer, or the edit's
    rejection, replaces that label. Off: existing labels cost nothing."""
    benchmarks: tuple[Path, ...] = ()
    """Indexes of evaluation benchmarks; drops edits that overlap with them."""
    max_reject_share: Share = 0.2
    """Fail if a shard has a larger share of unusable rows; the error gives the reason."""
    license: str = ""
    """Of all rows without their own, in the source owner's words."""

    @model_validator(mode="after")
    def _relabelling_needs_a_teacher(self) -> Self:
        if self.relabel and self.teacher is None:
            raise ValueError("relabel: there is no `teacher` to ask")
        return self


class CorpusStep(Record):
    """A step over all shards."""

    corpus: CorpusConfig
    final: bool = True
    """Whether it follows the teacher, if there is one."""


class CorpusShardStep(Record):
    """A step of one shard."""

    corpus: CorpusConfig
    shard: int = Field(ge=0)
