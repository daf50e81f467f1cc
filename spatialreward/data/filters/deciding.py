"""Decides over all edits of a data set together; each dropped edit has one reason."""

import logging
from typing import NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from spatialreward.data.filters.balancing import CellCount, balance, over_source_cap
from spatialreward.data.filters.config import FilterConfig
from spatialreward.data.filters.counts import FilterCounts
from spatialreward.data.filters.decontamination import BenchmarkIndex, benchmark_overlaps
from spatialreward.data.filters.duplicates import (
    LeftOut,
    exact_duplicates,
    near_duplicates,
    repeated_reasoning,
)
from spatialreward.data.filters.facts import check_facts, with_source

logger = logging.getLogger(__name__)


class Decisions(NamedTuple):
    """The result for a data set."""

    left_out: LeftOut
    counts: FilterCounts
    cells: tuple[CellCount, ...]
    """Of the balancing, largest first; empty without balancing."""


def decide(facts: pa.Table, config: FilterConfig, index: BenchmarkIndex | None = None) -> Decisions:
    """The edits to drop because of other edits, or because of a benchmark.

    Each filter sees only the edits that the previous ones kept, so that no edit yields to a dropped
    one: first benchmarks, then duplicates, repeated reasoning, edits of one source, and finally the
    balance.

    Args:
        facts: of all edits, ``FACTS_SCHEMA``; the earlier of two duplicates stays.
        config: the filters' settings.
        index: of the benchmarks; None: no comparison.

    Raises:
        InvalidInputError: the table does not hold facts, or an id repeats.
    """
    check_facts(facts)
    if alone := len(facts) - len(with_source(facts)):
        logger.info(
            "%s edits have no source picture: near duplicates, edits of one source and balance are "
            "not decided for them",
            f"{alone:,}",
        )
    left_out: LeftOut = {}
    if index is not None:
        left_out |= benchmark_overlaps(facts, index, config.benchmarks)
    rules = config.duplicates
    if rules is not None:
        left_out |= exact_duplicates(_without(facts, left_out))
        left_out |= near_duplicates(_without(facts, left_out), rules)
    if (most := config.reasoning.max_same_reasoning) is not None:
        left_out |= repeated_reasoning(_without(facts, left_out), most)
    cells: tuple[CellCount, ...] = ()
    if config.balance is not None:
        left_out |= over_source_cap(_without(facts, left_out), config.balance)
        balanced = balance(_without(facts, left_out), config.balance)
        left_out |= balanced.left_out
        cells = balanced.cells
    counts = FilterCounts.of(
        len(facts) - len(left_out), (finding.reason for finding in left_out.values())
    )
    return Decisions(left_out, counts, cells)


def _without(facts: pa.Table, left_out: LeftOut) -> pa.Table:
    gone = pa.array(left_out, type=pa.string())
    return facts.filter(pc.invert(pc.is_in(facts["id"], value_set=gone)))
