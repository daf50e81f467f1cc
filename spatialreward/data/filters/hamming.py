"""Finds close hashes among many without comparing all pairs.

Two hashes that differ in at most ``d`` bits agree in at least one of ``d + 1`` bands (pigeonhole),
so only hashes that share a band are compared. The result is exact, as if all were compared.
"""

# N rows, S sources an edit, Q queries, R references, B buckets of a row

from array import array
from collections import defaultdict
from collections.abc import Iterator
from itertools import pairwise
from typing import NamedTuple, Self

import numpy as np

HASH_BITS = 64
_PAIRS_AT_ONCE = 2_000_000
_NO_ROWS = np.empty(0, dtype=np.int64)
_MIX = np.uint64(0x9E3779B97F4A7C15)


def nearest(queries_Q: np.ndarray, references_R: np.ndarray, max_bits: int) -> np.ndarray:
    """Index of the nearest reference within ``max_bits`` of each query, ``[Q]``, -1 without one.

    The first of several equally close ones. Hashes are uint64.
    """
    # Distance in the high bits and index in the low ones, so the minimum is the nearest and first.
    none = np.iinfo(np.int64).max
    best_Q = np.full(len(queries_Q), none, dtype=np.int64)
    for queries_band, references_band in zip(
        _bands(queries_Q, max_bits + 1), _bands(references_R, max_bits + 1), strict=True
    ):
        for rows, numbers in _sharing(queries_band, references_band):
            bits = np.bitwise_count(queries_Q[rows] ^ references_R[numbers]).astype(np.int64)
            near = bits <= max_bits
            np.minimum.at(best_Q, rows[near], (bits[near] << 32) | numbers[near])
    return np.where(best_Q == none, -1, best_Q & 0xFFFFFFFF)


class EditHashes(NamedTuple):
    """The hashes of edits, uint64, with groups; edits of different groups are never close."""

    groups_N: np.ndarray
    sources_NS: np.ndarray
    """Padded with zeros."""
    edited_N: np.ndarray
    """Zero without an edited picture."""

    def at(self, rows: np.ndarray) -> Self:
        """Select rows."""
        return type(self)(*(column[rows] for column in self))


def earlier_twins(edits: EditHashes, source_bits: int, edited_bits: int) -> np.ndarray:
    """For each row the first earlier close one that stays, ``[N]``; -1 for rows that stay.

    A row is dropped if an earlier remaining row of its group has all its sources within
    ``source_bits`` and its edited picture within ``edited_bits``. So the first of a run of close
    rows stays, and so does a row that is close only to dropped ones.
    """
    rows_NC = np.column_stack(edits)
    _, firsts, same_as = np.unique(rows_NC, axis=0, return_index=True, return_inverse=True)
    order = np.argsort(firsts)
    distinct = firsts[order]
    twins = _twins_of_distinct(edits.at(distinct), source_bits, edited_bits)
    # A distinct row's twin applies to all its copies; otherwise the copies have the row itself.
    stays_for = np.empty_like(firsts)
    stays_for[order] = np.where(twins < 0, distinct, distinct[twins])
    stays_for_N = stays_for[same_as.reshape(-1)]
    return np.where(stays_for_N == np.arange(len(rows_NC)), -1, stays_for_N)


def _twins_of_distinct(edits: EditHashes, source_bits: int, edited_bits: int) -> np.ndarray:
    groups_N, sources_NS, edited_N = edits
    buckets_BN = _buckets(edits, source_bits, edited_bits)
    twins_N = np.full(len(edited_N), -1, dtype=np.int64)
    # Arrays instead of lists: thousands share a bucket if many pictures are alike.
    staying_in: defaultdict[int, array] = defaultdict(lambda: array("q"))
    for row in np.flatnonzero((buckets_BN >= 0).any(axis=0)).tolist():
        keys = [key for key in buckets_BN[:, row].tolist() if key >= 0]
        before = np.concatenate(
            [np.frombuffer(staying_in[key], dtype=np.int64) for key in keys if key in staying_in]
            or [_NO_ROWS]
        )
        near = groups_N[before] == groups_N[row]
        near &= np.bitwise_count(edited_N[before] ^ edited_N[row]) <= edited_bits
        near &= (np.bitwise_count(sources_NS[before] ^ sources_NS[row]) <= source_bits).all(axis=1)
        if near.any():
            twins_N[row] = before[near].min()
            continue
        for key in keys:
            staying_in[key].append(row)
    return twins_N


def _buckets(edits: EditHashes, source_bits: int, edited_bits: int) -> np.ndarray:
    """Bucket numbers that possibly close rows share, ``[B, N]`` int64; -1 for rows without company.

    One bucket for each pair of a source's band and an edited picture's. Accidental collisions of
    codes only cost a comparison.
    """
    buckets = []
    for source_band in _bands(edits.sources_NS[:, 0], source_bits + 1):
        for edited_band in _bands(edits.edited_N, edited_bits + 1):
            code = edits.groups_N
            for part in (source_band, edited_band):
                code = (code ^ part) * _MIX
                code ^= code >> np.uint64(29)
            _, inverse, counts = np.unique(code, return_inverse=True, return_counts=True)
            number = inverse + len(buckets) * len(code)
            buckets.append(np.where(counts[inverse] > 1, number, -1))
    return np.stack(buckets)


def _bands(hashes_N: np.ndarray, count: int) -> Iterator[np.ndarray]:
    """Split the hashes into ``count`` bands of nearly equal width, ``[N]`` uint64 each."""
    edges = [HASH_BITS * band // count for band in range(count + 1)]
    for low, high in pairwise(edges):
        mask = np.uint64((1 << (high - low)) - 1)
        yield (hashes_N >> np.uint64(low)) & mask


def _sharing(
    queries_Q: np.ndarray, references_R: np.ndarray
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Numbers of queries and of the references that share their value, some millions at a time."""
    order_R = np.argsort(references_R, kind="stable")
    sorted_R = references_R[order_R]
    start_Q = np.searchsorted(sorted_R, queries_Q, side="left")
    count_Q = np.searchsorted(sorted_R, queries_Q, side="right") - start_Q
    rows = np.flatnonzero(count_Q)
    ends = np.cumsum(count_Q[rows])
    first = 0
    while first < len(rows):
        done = ends[first - 1] if first else 0
        last = max(int(np.searchsorted(ends, done + _PAIRS_AT_ONCE)), first + 1)
        part = rows[first:last]
        counts = count_Q[part]
        within = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
        yield np.repeat(part, counts), order_R[np.repeat(start_Q[part], counts) + within]
        first = last
