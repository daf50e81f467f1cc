"""Indexes of evaluation benchmarks, for excluding their content from training data."""

from collections.abc import Iterator

from pydantic import Field

from spatialreward.data.edits import LabelledEdit, Ranking, Rejected
from spatialreward.data.filters.decontamination import BenchmarkIndex
from spatialreward.data.sources.config import SourceConfig
from spatialreward.data.sources.opening import open_source
from spatialreward.errors import InvalidInputError
from spatialreward.records import Record


class BenchmarkConfig(Record):
    """A benchmark, in the form of a data source."""

    name: str = Field(min_length=1)
    source: SourceConfig


def index_benchmark(config: BenchmarkConfig) -> BenchmarkIndex:
    """Fingerprints of a benchmark's pictures, and its instructions.

    Raises:
        InvalidInputError: the benchmark is missing, or a row is unreadable: an index must not have
            gaps.
    """

    def edits() -> Iterator[LabelledEdit]:
        for row in open_source(config.source).rows(0, 1):
            if isinstance(row, Rejected):
                raise InvalidInputError(f"{config.name} {row.id}: {row.reason}: {row.detail}")
            # A row's ranking repeats the pictures of its edits.
            if not isinstance(row, Ranking):
                yield row

    return BenchmarkIndex.of(config.name, edits())
