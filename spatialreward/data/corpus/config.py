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
    """Everything that packed training data follows from."""

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9-]{0,62}$")
    """Of the data set that is made; part of its address in the object store."""
    source: SourceConfig
    """Where the edits come from."""
    num_shards: PositiveInt = Field(1, le=10_000)
    """Parts that are built independently; 1,000 edits a shard is a good size."""
    pictures: PictureConfig = PictureConfig()
    regions: RegionConfig = RegionConfig()
    filters: FilterConfig = FilterConfig()
    second_opinion: bool = False
    """Ask the teacher for boxes of what the instruction names, and reconcile them with the pixels
    before it annotates."""
    teacher: TeacherConfig | None = None
    """Who says what is in the regions and how good the edit is, where the source does not; None:
    nobody, and the regions are all that is added."""
    relabel: bool = False
    """Ask the teacher also about edits whose label comes with the source; its answer, or the edit's
    rejection, takes that label's place. Off: nobody pays for what is there."""
    benchmarks: tuple[Path, ...] = ()
    """Indexes of evaluation benchmarks; what overlaps with them is left out."""
    max_reject_share: Share = 0.2
    """A shard of whose rows a larger share cannot be used is an error that says why."""
    license: str = ""
    """Of all rows that do not name their own, as the source's owner words it."""

    @model_validator(mode="after")
    def _relabelling_needs_a_teacher(self) -> Self:
        if self.relabel and self.teacher is None:
            raise ValueError("relabel: there is no `teacher` to ask")
        return self


class CorpusStep(Record):
    """A step that concerns all shards."""

    corpus: CorpusConfig
    final: bool = True
    """Whether it comes after the teacher, if there is one."""


class CorpusShardStep(Record):
    """A step of one shard."""

    corpus: CorpusConfig
    shard: int = Field(ge=0)
