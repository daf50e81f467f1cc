"""Indexes of evaluation benchmarks, which training data must not overlap with."""

from collections.abc import Iterator

from pydantic import Field

from spatialreward.data.edits import LabelledEdit, Ranking, Rejected
from spatialreward.data.filters.decontamination import BenchmarkIndex
from spatialreward.data.sources.config import SourceConfig
from spatialreward.data.sources.opening import open_source
from spatialreward.errors import InvalidInputError
from spatialreward.records import Record


class BenchmarkConfig(Record):
    """A benchmark, read as any data set is."""

    name: str = Field(min_length=1)
    source: SourceConfig


def index_benchmark(config: BenchmarkConfig) -> BenchmarkIndex:
    """Pictures and instructions of a benchmark, as far as they have to be recognised.

    Raises:
        InvalidInputError: the benchmark is not there, or one of its rows cannot be read: an index
            must not have holes.
    """

    def edits() -> Iterator[LabelledEdit]:
        for row in open_source(config.source).rows(0, 1):
            if isinstance(row, Rejected):
                raise InvalidInputError(f"{config.name} {row.id}: {row.reason}: {row.detail}")
            # A row's ranking shows the pictures of its edits once more.
            if not isinstance(row, Ranking):
                yield row

    return BenchmarkIndex.of(config.name, edits())
