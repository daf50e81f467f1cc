"""The stages of one shard: folders in, a folder out that appears once complete.

A prepared or annotated shard is a folder of ``edits.parquet`` (unless all rows were dropped),
``facts.parquet``, ``rejects.jsonl`` and ``counts.json``, and of files of the same kind for its
rankings. The same input gives the same bytes.
"""

import json
import logging
import shutil
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from spatialreward.data.corpus.config import CorpusConfig
from spatialreward.data.corpus.preparing import prepare, with_second_opinion
from spatialreward.data.corpus.rankings import (
    RANKING_COUNTS,
    RANKING_FACTS,
    carry_on,
    collecting,
    pack_rankings,
    select_rankings,
)
from spatialreward.data.corpus.repeats import repeated_between, repeats
from spatialreward.data.edits import LabelledEdit, Rejected, RowOrigin
from spatialreward.data.filters.counts import FilterCounts
from spatialreward.data.filters.deciding import decide
from spatialreward.data.filters.decontamination import BenchmarkIndex
from spatialreward.data.filters.facts import FACTS_SCHEMA, EditFacts, facts_of, facts_table
from spatialreward.data.filters.reasoning import check_annotation, check_second_pass
from spatialreward.data.filters.reasons import CHOICES, Reason
from spatialreward.data.packing.manifest import ShardReport
from spatialreward.data.packing.shards import ShardWriter, count_edits, read_edits, read_facts
from spatialreward.data.sources.opening import open_source
from spatialreward.data.teacher.teaching import annotate_all
from spatialreward.data.teacher.usage import TeacherUsage
from spatialreward.errors import InvalidInputError
from spatialreward.progress import track

logger = logging.getLogger(__name__)

EDITS = "edits.parquet"
FACTS = "facts.parquet"
REJECTS = "rejects.jsonl"
COUNTS = "counts.json"
USAGE = "usage.json"
LIGHT = (FACTS, COUNTS, RANKING_FACTS, RANKING_COUNTS)
"""The part of a shard's folder that ``select`` reads."""
UNSTORABLE = "cannot be stored"
"""Reason to drop an edit with values outside JSON and Parquet, such as NaN."""
_ROWS_BEFORE_A_SHARE_COUNTS = 50


def prepare_shard(config: CorpusConfig, shard: int, out: Path) -> FilterCounts:
    """Read one part of the source and propose regions; without a teacher.

    Raises:
        InvalidInputError: the source is missing or lacks columns, or too many of the part's rows
            are unusable; the message gives the main reason.
    """
    rows = open_source(config.source).rows(shard, config.num_shards)
    described = track(rows, total=None, description=f"shard {shard}: edits prepared")
    where = f"shard {shard}"
    with new_folder(out) as folder:
        with collecting(folder, config, where) as rankings:
            counts = _write(folder, rankings.take(prepare(row, config) for row in described))
        _check_share(counts, config, where, folder)
    return counts


def annotate_shard(
    config: CorpusConfig, prepared: Path, left_out: Path, ledger: Path, out: Path
) -> FilterCounts:
    """Ask the teacher about the edits of a prepared shard, and drop implausible answers.

    Edits with a label from the source pass unchanged, and so do edited pictures without a source.

    Args:
        config: has a teacher.
        prepared: folder of the shard.
        left_out: the output of ``select`` for it; skips those edits.
        ledger: file of all answers; with it a retry pays for none twice.
        out: the annotated shard's folder.

    Raises:
        InvalidInputError: the teacher is unusable, or too many edits are.
        TeacherStopped: the budget is spent or the server is away.
    """
    assert config.teacher is not None
    gone = _gone_of(prepared, left_out)
    before = _without(read_counts(prepared), gone)
    usage = TeacherUsage()

    def add(_result: LabelledEdit | Rejected, took: TeacherUsage) -> None:
        nonlocal usage
        usage += took

    labelled: set[str] = set()

    def noted(edits: Iterable[LabelledEdit]) -> Iterator[LabelledEdit]:
        for edit in edits:
            if edit.label is not None:
                labelled.add(edit.id)
            yield edit

    asked = noted(_edits(prepared, gone))
    if config.second_opinion:
        asked = with_second_opinion(asked, config.teacher, ledger, before.kept)
    results = annotate_all(asked, config.teacher, ledger, total=before.kept, measure=add)
    described = track(results, total=before.kept, description=f"{prepared.name}: edits annotated")
    with new_folder(out) as folder:
        rejects = _rejects(prepared, gone)
        checked = (one if one.id in labelled else _checked(one, config) for one in described)
        counts = _write(folder, checked, before, rejects)
        carry_on(prepared, folder)
        (folder / USAGE).write_text(usage.model_dump_json() + "\n", encoding="utf-8")
        logger.info("%s: teacher: %s", prepared.name, usage)
        _check_share(counts, config, prepared.name, folder)
    return counts


def select(
    config: CorpusConfig, shards: Iterable[Path], out: Path, *, final: bool = True
) -> FilterCounts:
    """Decide over all shards together which edits to drop; reads their facts only.

    Args:
        config: the filters' settings.
        shards: folders of prepared or annotated shards, in order: the first of duplicates stays.
        out: folder for the result: JSON Lines of dropped edits for each shard, ``NAME.jsonl``.
        final: False before the teacher stage: balancing then lacks its inputs.

    Raises:
        InvalidInputError: too many rows are unusable, have a repeated id, or lost their
            label.
    """
    shards = list(shards)
    seen = sum((read_counts(shard) for shard in shards), start=FilterCounts())
    _check(seen, config, "all shards together", shards)
    filters = config.filters
    if not final:
        filters = filters.model_copy(update={"balance": None})
    if not final or config.teacher is None:
        # A source that labels its own edits has a small, correct vocabulary.
        any_words = filters.reasoning.model_copy(update={"max_same_reasoning": None})
        filters = filters.model_copy(update={"reasoning": any_words})
    index = None
    for path in config.benchmarks:
        more = BenchmarkIndex.read(path)
        index = more if index is None else index + more
    tables = [_facts_in(shard) for shard in shards]
    _check_labels(tables, config)
    repeated = repeated_between(tables)
    _check_repeated(seen, repeated, config)
    rankings = select_rankings(shards, config, index)
    decisions = decide(pa.concat_tables(map(_without_ids, tables, repeated)), filters, index)
    for cell in (one for one in decisions.cells if one.after < one.before):
        logger.info("balance: %s: %d of %d stay", cell, cell.after, cell.before)
    with new_folder(out) as folder:
        for shard, facts, again, gone in zip(shards, tables, repeated, rankings, strict=True):
            found = ((one, again.get(one, decisions.left_out.get(one))) for one in _ids(facts))
            lines = ({"id": one, **why._asdict()} for one, why in found if why is not None)
            more = ({"id": id, **why._asdict(), "kind": "ranking"} for id, why in gone.items())
            text = "".join(json.dumps(line) + "\n" for line in (*lines, *more))
            (folder / f"{shard.name}.jsonl").write_text(text, encoding="utf-8")
    reasons = (one.reason for again in repeated for one in again.values())
    return decisions.counts + FilterCounts.of(0, reasons)


def pack_shard(shard: Path, left_out: Path, number: int, out: Path) -> ShardReport:
    """Write a shard's remaining edits as ``edits-NUMBER.parquet`` into folder ``out``.

    All dropped rows go to ``edits-NUMBER.rejects.jsonl`` beside it. Rankings have separate files.
    """
    gone = _gone_of(shard, left_out)
    path = out / f"edits-{number:05d}.parquet"
    with ShardWriter(path) as writer:
        for edit in _edits(shard, gone):
            writer.write(edit)
    path.with_suffix(".rejects.jsonl").write_text(_rejects(shard, gone), encoding="utf-8")
    rankings = pack_rankings(shard, left_out, number, out)
    edits = {} if writer.shard is None else count_edits(path)
    return ShardReport(
        shard=writer.shard,
        rankings=rankings.shard,
        counts=edits | rankings.counts,
        left_out=_without(read_counts(shard), gone).left_out,
    )


@contextmanager
def new_folder(path: Path) -> Iterator[Path]:
    """A folder that gets its name when the block succeeds; replaces remains of a killed run."""
    unfinished = path.with_name(path.name + ".partial")
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir(parents=True)
    try:
        yield unfinished
    except BaseException:
        shutil.rmtree(unfinished, ignore_errors=True)
        raise
    shutil.rmtree(path, ignore_errors=True)
    unfinished.rename(path)


def read_counts(shard: Path) -> FilterCounts:
    """Counts of a prepared or annotated shard's rows.

    Raises:
        InvalidInputError: the folder is not such a shard.
    """
    try:
        return FilterCounts.model_validate_json((shard / COUNTS).read_bytes())
    except (OSError, ValueError) as error:
        raise InvalidInputError(f"{shard}: no prepared shard here ({error})") from error


def _checked(result: LabelledEdit | Rejected, config: CorpusConfig) -> LabelledEdit | Rejected:
    if isinstance(result, Rejected) or not result.sources:
        return result
    assert result.label is not None
    assert result.prior is not None
    filters = config.filters
    finding = check_annotation(
        result.label, result.instruction, result.prior, filters.reasoning, filters.evidence
    ) or check_second_pass(result, filters.reasoning)
    return result if finding is None else finding.reject(result.id, result.origin)


def _write(
    folder: Path,
    results: Iterable[LabelledEdit | Rejected],
    before: FilterCounts | None = None,
    rejects_before: str = "",
) -> FilterCounts:
    """Write a stage's results as they come; continues the previous stage's counts and rejects."""
    kept: dict[str, RowOrigin] = {}
    reasons: list[str] = []
    with (
        ShardWriter(folder / EDITS) as writer,
        (folder / REJECTS).open("w", encoding="utf-8") as rejects,
    ):
        rejects.write(rejects_before)

        def facts() -> Iterator[EditFacts]:
            for result in results:
                if isinstance(result, LabelledEdit):
                    if first := kept.get(result.id):
                        result = repeats(first).reject(result.id, result.origin)
                    else:
                        result = _stored(writer, result)
                if isinstance(result, Rejected):
                    rejects.writelines(_lines([result]))
                    reasons.append(result.reason)
                    continue
                kept[result.id] = result.origin
                yield facts_of(result)

        pq.write_table(facts_table(facts()), folder / FACTS)
    counts = FilterCounts.of(len(kept), reasons)
    if before is not None:
        counts = before.after(counts)
    (folder / COUNTS).write_text(counts.model_dump_json() + "\n", encoding="utf-8")
    return counts


def _stored(writer: ShardWriter, edit: LabelledEdit) -> LabelledEdit | Rejected:
    try:
        writer.write(edit)
    except InvalidInputError as error:
        return Rejected(id=edit.id, reason=UNSTORABLE, detail=str(error), origin=edit.origin)
    return edit


def _facts_in(shard: Path) -> pa.Table:
    facts = pq.read_table(shard / FACTS)
    if not facts.schema.equals(FACTS_SCHEMA):
        raise InvalidInputError(
            f"{shard}: another version of spatialreward prepared it; remove the unfinished build "
            "and start it again"
        )
    return facts


def _ids(facts: pa.Table) -> list[str]:
    return facts["id"].to_pylist()


def _without_ids(facts: pa.Table, gone: Mapping[str, object]) -> pa.Table:
    return facts.filter(pa.array([one not in gone for one in _ids(facts)], pa.bool_()))


def _check_repeated(
    seen: FilterCounts, repeated: Sequence[Mapping[str, object]], config: CorpusConfig
) -> None:
    """Fail if most ids repeat, because few rows would stay."""
    count = seen.left_out.get(Reason.REPEATED_ID, 0) + sum(map(len, repeated))
    if seen.seen >= _ROWS_BEFORE_A_SHARE_COUNTS and count > config.max_reject_share * seen.seen:
        raise InvalidInputError(
            f"{count:,} of {seen.seen:,} rows have the id of another one; name columns in "
            "source.columns.id that differ in every row together, or none"
        )


def _check_labels(tables: Sequence[pa.Table], config: CorpusConfig) -> None:
    """Fail if many labels are unreadable, before paying a teacher to replace them."""
    lost = Counter(
        reason for facts in tables for reason in facts["lost_label"].to_pylist() if reason
    )
    rows = sum(map(len, tables))
    if lost.total() > config.max_reject_share * rows:
        why = ", ".join(f"{reason} ({count:,})" for reason, count in lost.most_common())
        raise InvalidInputError(
            f"the labels of {lost.total():,} of {rows:,} rows cannot be read (at most "
            f"{100 * config.max_reject_share:g} % are allowed): {why}"
        )


def _check_share(counts: FilterCounts, config: CorpusConfig, where: str, shard: Path) -> None:
    """Fail early; small shards are checked together with all others in ``select``."""
    if counts.seen >= _ROWS_BEFORE_A_SHARE_COUNTS:
        _check(counts, config, where, [shard])


def _check(counts: FilterCounts, config: CorpusConfig, where: str, shards: Sequence[Path]) -> None:
    try:
        counts.check(config.max_reject_share, where)
    except InvalidInputError as error:
        raise InvalidInputError(f"{error}{_first_fault(shards)}") from None


def _first_fault(shards: Sequence[Path]) -> str:
    """The end of an error, which names the first row with a fault; empty: no rejects are here."""
    for path in (shard / REJECTS for shard in shards if (shard / REJECTS).is_file()):
        with path.open("rb") as file:
            for one in map(Rejected.model_validate_json, file):
                if one.reason not in CHOICES:
                    row = f"{one.origin.file}, row {one.origin.row}"
                    return f"; the first: {row}: {one.reason}: {one.detail}"
    return ""


def _edits(shard: Path, gone: Mapping[str, Rejected]) -> Iterator[LabelledEdit]:
    if (shard / EDITS).is_file():
        yield from (edit for edit in read_edits(shard / EDITS) if edit.id not in gone)


def _rejects(shard: Path, gone: Mapping[str, Rejected]) -> str:
    return (shard / REJECTS).read_text(encoding="utf-8") + "".join(_lines(gone.values()))


def _without(counts: FilterCounts, gone: Mapping[str, Rejected]) -> FilterCounts:
    later = FilterCounts.of(counts.kept - len(gone), (one.reason for one in gone.values()))
    return counts.after(later)


def _gone_of(shard: Path, left_out: Path) -> dict[str, Rejected]:
    """A shard's edits dropped by ``select``, by id, with their rows in the source."""
    if not (shard / EDITS).is_file():
        return {}
    rows = read_facts(shard / EDITS, ["id", "origin_file", "origin_row"]).to_pylist()
    origins = {row["id"]: RowOrigin(file=row["origin_file"], row=row["origin_row"]) for row in rows}
    with left_out.open("rb") as file:
        gone = [one for one in map(json.loads, file) if one.get("kind") != "ranking"]
    return {one["id"]: Rejected(**one, origin=origins[one["id"]]) for one in gone}


def _lines(rows: Iterable[Rejected]) -> Iterator[str]:
    return (row.model_dump_json() + "\n" for row in rows)
