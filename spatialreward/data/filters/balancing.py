"""Limits frequent kinds of edits, and repeated source pictures.

Draws the remaining edits by id: the result depends on ids and seed, not on order or shards, and
adding data to one cell changes nothing in another.
"""

import hashlib
import heapq
import math
from collections import defaultdict
from collections.abc import Hashable, Iterable, Mapping
from typing import NamedTuple

import pyarrow as pa
from pydantic import NonNegativeInt

from spatialreward.data.filters.config import BalanceRules
from spatialreward.data.filters.duplicates import LeftOut
from spatialreward.data.filters.facts import score_steps, with_source
from spatialreward.data.filters.reasons import Finding, Reason
from spatialreward.records import MAX_SCORE, Record


class CellCount(Record):
    """One kind of edit, with its counts before and after."""

    operation: str
    """Empty if the data set does not say."""
    score_from: float | None
    """Lower bound of the cell's editing success; None for edits without a score."""
    score_to: float | None
    before: NonNegativeInt
    after: NonNegativeInt

    def __str__(self) -> str:
        """``add, success 20 to 25``."""
        scored = (
            "no score"
            if self.score_from is None
            else f"success {self.score_from:g} to {self.score_to:g}"
        )
        return f"{self.operation or 'no operation'}, {scored}"


class Balanced(NamedTuple):
    """Result of balancing."""

    left_out: LeftOut
    cells: tuple[CellCount, ...]
    """Largest first."""


def balance(facts: pa.Table, rules: BalanceRules) -> Balanced:
    """Cut oversized cells down to their caps.

    Edits without a source picture have no editing success, so they belong to no cell.
    """
    facts = with_source(facts)
    cells = _members(
        zip(
            facts["operation"].to_pylist(),
            score_steps(facts, rules.score_step).tolist(),
            strict=True,
        ),
        facts["id"].to_pylist(),
    )
    left_out: LeftOut = {}
    counts = []
    for (operation, step), ids in cells.items():
        stay = cap_of(len(ids), rules)
        cell = CellCount(
            operation=operation,
            score_from=None if step < 0 else step * rules.score_step,
            score_to=None if step < 0 else min((step + 1) * rules.score_step, MAX_SCORE),
            before=len(ids),
            after=stay,
        )
        counts.append(cell)
        finding = Finding(Reason.OVER_CELL_CAP, f"{cell}: {stay:,} of {len(ids):,} stay")
        left_out |= dict.fromkeys(_drawn_out(ids, stay, rules.seed), finding)
    return Balanced(left_out, tuple(sorted(counts, key=lambda cell: (-cell.before, str(cell)))))


def cap_of(size: int, rules: BalanceRules) -> int:
    """Number of edits that stay in a cell of this size."""
    if size <= rules.full_cell:
        stay = size
    else:
        stay = math.floor(rules.full_cell * (size / rules.full_cell) ** rules.exponent)
    return min(stay, size, size if rules.max_cell is None else rules.max_cell)


def over_source_cap(facts: pa.Table, rules: BalanceRules) -> LeftOut:
    """Edits beyond the cap of their source picture's file; empty without a cap."""
    left_out: LeftOut = {}
    if rules.max_per_source is None:
        return left_out
    facts = with_source(facts)
    sources = _members(facts["source_digest"].to_pylist(), facts["id"].to_pylist())
    for ids in sources.values():
        stay = min(rules.max_per_source, len(ids))
        finding = Finding(
            Reason.OVER_SOURCE_CAP, f"{stay} of {len(ids)} edits of one source picture stay"
        )
        left_out |= dict.fromkeys(_drawn_out(ids, stay, rules.seed), finding)
    return left_out


def _members(keys: Iterable[Hashable], ids: Iterable[str]) -> Mapping[Hashable, list[str]]:
    members = defaultdict(list)
    for key, id in zip(keys, ids, strict=True):
        members[key].append(id)
    return members


def _drawn_out(ids: list[str], stay: int, seed: int) -> list[str]:
    """The ids to drop so that ``stay`` remain."""
    surplus = len(ids) - stay
    return heapq.nlargest(surplus, ids, key=lambda id: _lot(id, seed)) if surplus > 0 else []


def _lot(id: str, seed: int) -> bytes:
    return hashlib.blake2b(f"{seed}\x1f{id}".encode(), digest_size=8).digest()
