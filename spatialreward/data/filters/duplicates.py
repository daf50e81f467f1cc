"""Finds duplicate edits: the same files, the same pictures, the same words.

An edited picture is close to its source, and several editors' pictures of one instruction are close
to each other, so similar pictures alone make no duplicate: the instruction must be the same except
for spelling and articles, and editor and score step must match. The first duplicate in the table's
order stays.
"""

from collections import Counter

import numpy as np
import pyarrow as pa

from spatialreward.data.filters.config import DuplicateRules
from spatialreward.data.filters.facts import (
    edited_hashes,
    score_steps,
    source_hashes,
    with_source,
)
from spatialreward.data.filters.hamming import EditHashes, earlier_twins
from spatialreward.data.filters.reasons import Finding, Reason
from spatialreward.data.filters.words import instruction_words, text_key

LeftOut = dict[str, Finding]
"""Ids of dropped edits, with the reason."""


def exact_duplicates(facts: pa.Table) -> LeftOut:
    """Edits with the same picture files and instruction as an earlier one."""
    first: dict[bytes, str] = {}
    left_out = {}
    for id, digest in zip(facts["id"].to_pylist(), facts["digest"].to_pylist(), strict=True):
        if (known := first.setdefault(digest, id)) != id:
            left_out[id] = Finding(Reason.EXACT_DUPLICATE, f"of edit {known}")
    return left_out


def near_duplicates(facts: pa.Table, rules: DuplicateRules) -> LeftOut:
    """Edits whose pictures are all close to those of an earlier one, with the same instruction.

    Skips edits without a source picture: similar edited pictures are often several edits of one
    source.
    """
    facts = with_source(facts)
    sources_NS, edited_N = source_hashes(facts), edited_hashes(facts)
    hashes = EditHashes(_groups(facts, rules), sources_NS, edited_N)
    twins_N = earlier_twins(hashes, rules.source_bits, rules.edited_bits)
    ids = facts["id"].to_pylist()
    left_out = {}
    for row in np.flatnonzero(twins_N >= 0).tolist():
        twin = int(twins_N[row])
        source_bits = int(np.bitwise_count(sources_NS[row] ^ sources_NS[twin]).max())
        edited_bits = int(np.bitwise_count(edited_N[row] ^ edited_N[twin]))
        left_out[ids[row]] = Finding(
            Reason.NEAR_DUPLICATE,
            f"of edit {ids[twin]}: hashes differ in {source_bits} bits (sources) and "
            f"{edited_bits} (edited)",
        )
    return left_out


def repeated_reasoning(facts: pa.Table, most: int) -> LeftOut:
    """Edits whose exact reasoning ``most`` earlier edits have."""
    seen: Counter[int] = Counter()
    left_out = {}
    for id, key in zip(facts["id"].to_pylist(), facts["reasoning"].to_pylist(), strict=True):
        if key is None:
            continue
        seen[key] += 1
        if seen[key] > most:
            left_out[id] = Finding(
                Reason.REPEATED_REASONING, f"{most} edits have it already, word for word"
            )
    return left_out


def _groups(facts: pa.Table, rules: DuplicateRules) -> np.ndarray:
    """Keys ``[N]`` uint64 of the values that must be equal in duplicates, beside the pictures."""
    columns = (
        facts["instruction"].to_pylist(),
        facts["editor"].to_pylist(),
        score_steps(facts, rules.score_step).tolist(),
        facts["edited"].is_null().to_pylist(),
        np.diff(facts["sources"].combine_chunks().offsets.to_numpy()).tolist(),
    )
    keys = (
        text_key([*instruction_words(instruction), *map(str, others)])
        for instruction, *others in zip(*columns, strict=True)
    )
    return np.fromiter(keys, dtype=np.uint64, count=len(facts))
