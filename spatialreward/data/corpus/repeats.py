"""Repeated ids: the first row of the source keeps the id, the others are dropped.

The first row does not depend on the shards: within a shard rows are in the source's order, and
between shards file and row number decide.
"""

from collections import defaultdict
from collections.abc import Sequence

import pyarrow as pa

from spatialreward.data.edits import RowOrigin
from spatialreward.data.filters.duplicates import LeftOut
from spatialreward.data.filters.reasons import Finding, Reason


def repeats(first: RowOrigin) -> Finding:
    """The finding against a row whose id belongs to ``first``."""
    return Finding(Reason.REPEATED_ID, f"{first.file}, row {first.row}, has this id already")


def repeated_between(shards: Sequence[pa.Table]) -> list[LeftOut]:
    """The edits of each shard whose id occurs earlier in another shard.

    Args:
        shards: facts of each shard, ``FACTS_SCHEMA``; within one no id comes twice.
    """
    ids = pa.concat_tables([facts.select(["id"]) for facts in shards])["id"].value_counts()
    several = {one["values"] for one in ids.to_pylist() if one["counts"] > 1}
    rows: dict[str, list[tuple[tuple[str, int, int], RowOrigin]]] = defaultdict(list)
    for number, facts in enumerate(shards):
        columns = (facts[name].to_pylist() for name in ("id", "file", "row"))
        for id, file, row in zip(*columns, strict=True):
            if id in several:
                place = (file, int(row) if row.isdecimal() else 0, number)
                rows[id].append((place, RowOrigin(file=file, row=row)))
    left_out: list[LeftOut] = [{} for _ in shards]
    for id, found in rows.items():
        (_, first), *later = sorted(found, key=lambda one: one[0])
        for (_, _, number), _ in later:
            left_out[number][id] = repeats(first)
    return left_out
