"""A compact table of all edits without their pictures, for decisions across edits.

A row is some 200 bytes, so the facts of a data set of any usual size fit in memory while its
pictures do not. Shards write their facts beside their pictures; decisions about several edits use
all facts together.
"""

import hashlib
import json
import math
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from spatialreward.data.edits import LabelledEdit, Ranking
from spatialreward.data.filters.fingerprints import to_bits
from spatialreward.data.filters.words import text_key, words_of
from spatialreward.errors import InvalidInputError
from spatialreward.records import MAX_SCORE

DIGEST_BYTES = 16
_ROWS_AT_ONCE = 4096

FACTS_SCHEMA = pa.schema(
    [
        ("id", pa.string()),
        ("instruction", pa.string()),
        ("operation", pa.string()),
        ("editor", pa.string()),
        ("sources", pa.list_(pa.uint64())),
        ("edited", pa.uint64()),
        ("digest", pa.binary(DIGEST_BYTES)),
        ("source_digest", pa.binary(DIGEST_BYTES)),
        ("success", pa.float32()),
        ("reasoning", pa.uint64()),
        ("lost_label", pa.string()),
        ("file", pa.string()),
        ("row", pa.string()),
    ]
)


class EditFacts(NamedTuple):
    """One edit without its pictures."""

    id: str
    instruction: str
    operation: str
    editor: str
    """The editor; empty if the data set does not say."""
    sources: list[int]
    """Perceptual hashes; empty if there is only an edited picture."""
    edited: int | None
    """Perceptual hash; None without an edited picture."""
    digest: bytes
    """Of the picture files and the instruction."""
    source_digest: bytes | None
    """Of the first source's file; None without a source picture."""
    success: float | None
    """Editing success by the teacher; None without an answer."""
    reasoning: int | None
    """Key of the words of the teacher's SC reasoning; None without words."""
    lost_label: str = ""
    """Why the source's label was dropped; empty if it was not."""
    file: str = ""
    """Of the source, as in ``RowOrigin``."""
    row: str = ""


def facts_of(edit: LabelledEdit) -> EditFacts:
    """The facts of an edit with processed pictures.

    Raises:
        InvalidInputError: the pictures are not processed; names the edit.
    """
    edit.check_looked_at()
    bits = [int(number) for number in to_bits(edit.fingerprints)]
    annotation = edit.label
    words = words_of(annotation.sc_reasoning) if annotation else []
    return EditFacts(
        id=edit.id,
        instruction=edit.instruction,
        operation=" ".join(edit.operation.casefold().split()),
        editor=edit.editor,
        sources=bits[: len(edit.sources)],
        edited=bits[-1] if edit.edited is not None else None,
        digest=_digest(
            [*edit.sources, edit.edited or b"", " ".join(edit.instruction.split()).encode()]
        ),
        source_digest=_digest(edit.sources[:1]) if edit.sources else None,
        success=annotation.scores.editing_success if annotation else None,
        reasoning=text_key(words) if words else None,
        lost_label=edit.lost_label.partition(":")[0],
        file=edit.origin.file,
        row=edit.origin.row,
    )


def facts_of_ranking(ranking: Ranking) -> EditFacts:
    """The facts of a ranking; all its pictures count as sources, for comparison with benchmarks."""
    files = [*ranking.sources, *(picture.edited for picture in ranking.edits)]
    words = " ".join(ranking.instruction.split()), json.dumps(ranking.orders)
    return EditFacts(
        id=ranking.id,
        instruction=ranking.instruction,
        operation=ranking.operation,
        editor="",
        sources=[int(number) for number in to_bits(ranking.fingerprints)],
        edited=None,
        digest=_digest([*files, *(text.encode() for text in words)]),
        source_digest=None,
        success=None,
        reasoning=None,
        file=ranking.origin.file,
        row=ranking.origin.row,
    )


def facts_table(facts: Iterable[EditFacts]) -> pa.Table:
    """The facts as columns of ``FACTS_SCHEMA``, in order; reads a few at a time."""
    return pa.Table.from_batches(_batches(iter(facts)), schema=FACTS_SCHEMA)


def check_facts(facts: pa.Table) -> None:
    """Check that a table holds facts, each edit once.

    Raises:
        InvalidInputError: a column is missing or has the wrong type, or an id repeats.
    """
    if not facts.schema.equals(FACTS_SCHEMA):
        raise InvalidInputError(f"facts: expected the columns\n{FACTS_SCHEMA}\ngot\n{facts.schema}")
    ids = facts["id"].value_counts()
    for entry in ids.to_pylist() if len(ids) < len(facts) else ():
        if entry["counts"] > 1:
            rows = facts.filter(pc.equal(facts["id"], entry["values"])).to_pylist()
            where = "; ".join(f"{row['file']}, row {row['row']}" for row in rows)
            raise InvalidInputError(f"edit {entry['values']}: comes {len(rows)} times: {where}")


def with_source(facts: pa.Table) -> pa.Table:
    """The rows of edits that have a source picture."""
    return facts.filter(pc.greater(pc.list_value_length(facts["sources"]), 0))


def source_hashes(facts: pa.Table) -> np.ndarray:
    """Perceptual hashes of the sources, ``[N, S]`` uint64, padded with zeros."""
    column = facts["sources"].combine_chunks()
    counts = np.diff(column.offsets.to_numpy())
    hashes_NS = np.zeros((len(facts), max(counts.max(initial=0), 1)), dtype=np.uint64)
    hashes_NS[np.arange(hashes_NS.shape[1]) < counts[:, None]] = column.flatten().to_numpy()
    return hashes_NS


def edited_hashes(facts: pa.Table) -> np.ndarray:
    """Perceptual hashes of the edited pictures, ``[N]`` uint64, zero without one."""
    return facts["edited"].fill_null(0).to_numpy()


def score_steps(facts: pa.Table, width: float) -> np.ndarray:
    """Step of editing success of each edit, ``[N]`` int64 from 0 on; -1 without a score."""
    success_N = facts["success"].fill_null(float("nan")).to_numpy()
    steps_N = np.floor(np.nan_to_num(success_N, nan=-1.0) / width).astype(np.int64)
    # The best score belongs to the last step instead of a separate one.
    return np.minimum(steps_N, math.ceil(MAX_SCORE / width) - 1)


def _batches(facts: Iterator[EditFacts]) -> Iterator[pa.RecordBatch]:
    while batch := list(islice(facts, _ROWS_AT_ONCE)):
        columns = [
            pa.array(column, type=field.type)
            for column, field in zip(zip(*batch, strict=True), FACTS_SCHEMA, strict=True)
        ]
        yield pa.RecordBatch.from_arrays(columns, schema=FACTS_SCHEMA)


def _digest(parts: Iterable[bytes]) -> bytes:
    digest = hashlib.blake2b(digest_size=DIGEST_BYTES)
    for part in parts:
        digest.update(len(part).to_bytes(8, "little") + part)
    return digest.digest()
