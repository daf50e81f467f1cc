"""Processes rankings through the stages of a build, beside the edits of their shard.

They need no regions and no teacher: they are checked, compared with benchmarks, and packed.
"""

import json
import shutil
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple, TextIO, TypeVar

import pyarrow as pa
import pyarrow.parquet as pq

from spatialreward.data.corpus.config import CorpusConfig
from spatialreward.data.corpus.repeats import repeated_between, repeats
from spatialreward.data.edits import Ranking, Rejected, RowOrigin
from spatialreward.data.filters.counts import FilterCounts
from spatialreward.data.filters.decontamination import BenchmarkIndex, benchmark_overlaps
from spatialreward.data.filters.duplicates import LeftOut, exact_duplicates
from spatialreward.data.filters.facts import EditFacts, facts_of_ranking, facts_table
from spatialreward.data.packing.manifest import PackedShard
from spatialreward.data.packing.rankings import RANKINGS, count_rankings, read_rankings
from spatialreward.data.packing.shards import ShardWriter

_RANKINGS = "rankings.parquet"
_REJECTS = "rankings.rejects.jsonl"
RANKING_FACTS = "rankings.facts.parquet"
RANKING_COUNTS = "rankings.counts.json"
_ROWS_BEFORE_A_SHARE_COUNTS = 50
Other = TypeVar("Other")


class PackedRankings(NamedTuple):
    """Result for the rankings of one shard."""

    shard: PackedShard | None
    """None: no ranking, so no file."""
    counts: dict[str, int]
    """As in a manifest."""


class Collector:
    """Moves the rankings from a prepared shard's rows into files in its folder."""

    def __init__(self, writer: ShardWriter, rejects: TextIO) -> None:
        """Write to an open shard and an open file of rejects."""
        self._writer = writer
        self._rejects = rejects
        self._first: dict[str, RowOrigin] = {}
        self.facts: list[EditFacts] = []
        self.reasons: list[str] = []

    def take(self, results: Iterable[Other | Ranking | Rejected]) -> Iterator[Other | Rejected]:
        """Yield the results without rankings; writes the rankings meanwhile."""
        for result in results:
            match result:
                case Ranking():
                    self._keep(result)
                case Rejected(kind="ranking"):
                    self._reject(result)
                case _:
                    yield result

    def _keep(self, ranking: Ranking) -> None:
        if first := self._first.get(ranking.id):
            repeated = repeats(first).reject(ranking.id, ranking.origin)
            self._reject(repeated.model_copy(update={"kind": "ranking"}))
        else:
            self._first[ranking.id] = ranking.origin
            self._writer.write(ranking)
            self.facts.append(facts_of_ranking(ranking))

    def _reject(self, rejected: Rejected) -> None:
        self._rejects.write(rejected.model_dump_json() + "\n")
        self.reasons.append(rejected.reason)


@contextmanager
def collecting(folder: Path, config: CorpusConfig, where: str) -> Iterator[Collector]:
    """Collect a shard's rankings during a ``with`` block.

    Raises:
        InvalidInputError: too many of them are unusable; ``where`` names the shard in the message.
    """
    with (
        ShardWriter(folder / _RANKINGS, layout=RANKINGS) as writer,
        (folder / _REJECTS).open("w", encoding="utf-8") as rejects,
    ):
        collector = Collector(writer, rejects)
        yield collector
    pq.write_table(facts_table(collector.facts), folder / RANKING_FACTS)
    counts = FilterCounts.of(len(collector.facts), collector.reasons)
    (folder / RANKING_COUNTS).write_text(counts.model_dump_json() + "\n", encoding="utf-8")
    if counts.seen >= _ROWS_BEFORE_A_SHARE_COUNTS:
        counts.check(config.max_reject_share, f"{where}: rankings")


def carry_on(before: Path, after: Path) -> None:
    """Copy a shard's rankings unchanged into the folder of its next stage."""
    for name in (_RANKINGS, _REJECTS, RANKING_FACTS, RANKING_COUNTS):
        if (before / name).is_file():
            shutil.copy(before / name, after / name)


def select_rankings(
    shards: Sequence[Path], config: CorpusConfig, index: BenchmarkIndex | None
) -> list[LeftOut]:
    """The rankings to drop from each shard: repeated ids and files, and benchmarks.

    Raises:
        InvalidInputError: too many rankings are unusable.
    """
    seen = sum((_counts(shard) for shard in shards), start=FilterCounts())
    seen.check(config.max_reject_share, "rankings of all shards together")
    tables = [pq.read_table(shard / RANKING_FACTS) for shard in shards]
    left_out = repeated_between(tables)
    facts = pa.concat_tables(map(_without, tables, left_out))
    found: LeftOut = {}
    if index is not None and len(facts):
        found |= benchmark_overlaps(facts, index, config.filters.benchmarks)
    if config.filters.duplicates is not None:
        found |= exact_duplicates(_without(facts, found))
    for table, gone in zip(tables, left_out, strict=True):
        own = (id for id in table["id"].to_pylist() if id in found and id not in gone)
        gone.update({id: found[id] for id in own})
    return left_out


def pack_rankings(shard: Path, left_out: Path, number: int, out: Path) -> PackedRankings:
    """Write a shard's remaining rankings as ``rankings-NUMBER.parquet`` into folder ``out``.

    Dropped ones go to ``rankings-NUMBER.rejects.jsonl`` beside it, if any.
    """
    with left_out.open("rb") as file:
        lines = [json.loads(line) for line in file]
    gone = {one["id"]: one for one in lines if one.get("kind") == "ranking"}
    path = out / f"rankings-{number:05d}.parquet"
    rejects = (shard / _REJECTS).read_text(encoding="utf-8")
    if (shard / _RANKINGS).is_file():
        with ShardWriter(path, layout=RANKINGS) as writer:
            for ranking in read_rankings(shard / _RANKINGS):
                if why := gone.get(ranking.id):
                    rejects += Rejected(**why, origin=ranking.origin).model_dump_json() + "\n"
                else:
                    writer.write(ranking)
        packed = writer.shard
    else:
        packed = None
    if rejects:
        path.with_suffix(".rejects.jsonl").write_text(rejects, encoding="utf-8")
    counts = {} if packed is None else count_rankings(path)
    seen = _counts(shard)
    later = FilterCounts.of(seen.kept - len(gone), (one["reason"] for one in gone.values()))
    dropped = seen.after(later).left_out
    counts |= {f"rankings_left_out/{reason}": count for reason, count in dropped.items()}
    return PackedRankings(packed, counts)


def _counts(shard: Path) -> FilterCounts:
    return FilterCounts.model_validate_json((shard / RANKING_COUNTS).read_bytes())


def _without(facts: pa.Table, gone: LeftOut) -> pa.Table:
    return facts.filter(pa.array([id not in gone for id in facts["id"].to_pylist()], pa.bool_()))
