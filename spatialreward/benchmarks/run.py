"""Judges the edits of a benchmark, each once, and stores the judgements as they come.

A run is a folder: ``run.json`` identifies benchmark and judge, ``rows.jsonl`` has a line per edit
with the whole judgement, the answers verbatim and the cost. A killed run resumes after its last
complete line, and refuses another judge or benchmark. It then judges again the edits on which the
engine or its server failed; every other judgement stays.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Literal, NamedTuple

from PIL import Image

from spatialreward.benchmarks.interface import Benchmark, Candidate, Item
from spatialreward.benchmarks.rows import Cost, Meter, Rows, open_rows
from spatialreward.edits import Edit
from spatialreward.errors import Failure, InvalidInputError
from spatialreward.images import decode_image
from spatialreward.judges.interface import Judging, Quoted, quoted
from spatialreward.progress import track
from spatialreward.records import JudgeIdentity, Judgement, Record, Streams, Text

_BATCH = 8


class RunRecord(Record):
    """Identity of a run."""

    version: Literal[1] = 1
    """Version of the folder's format."""
    benchmark: str
    digest: str
    """Of the benchmark's edits and their order."""
    judge: JudgeIdentity
    resize_to_source: bool
    """Whether to resize edited pictures to their source's size before judging."""


class JudgedEdit(Record):
    """One line of ``rows.jsonl``."""

    key: str
    item: str
    """The first item with the edit."""
    candidate: str
    """Its name in that item."""
    judgement: Judgement
    answers: tuple[dict[Streams, Text], ...] = ()
    """Verbatim, once a pass; empty for a judge that exposes no answers."""
    cost: Cost = Cost()
    """Its equal share of its batch."""


class Run(NamedTuple):
    """All edits of a benchmark, judged."""

    record: RunRecord
    judgements: dict[str, Judgement]
    """By key."""
    num_reused: int
    """Number of judgements from earlier runs."""
    cost: Cost
    """Of all lines in the folder, including those of edits judged again."""
    num_asked: int
    """Number of lines in the folder."""


class _Asked(NamedTuple):
    item: Item
    candidate: Candidate


def judge_benchmark(
    benchmark: Benchmark, judging: Judging, folder: Path, *, resize_to_source: bool = False
) -> Run:
    """Judge the edits without a judgement.

    Args:
        benchmark: provides the edits.
        judging: the judge.
        folder: new, or that of a run of the same judge on the same benchmark.
        resize_to_source: resize edited pictures to their (first) source's size.

    Raises:
        InvalidInputError: the folder is another run's, damaged or in use, or the judge changes
            during the run.
        ServingError: a served judge is unreachable.
    """
    record = RunRecord(
        benchmark=benchmark.name,
        digest=benchmark.published.digest,
        judge=judging.identity,
        resize_to_source=resize_to_source,
    )
    edits = _edits_of(benchmark.published.items)
    with open_rows(folder, record, JudgedEdit) as rows:
        known = {row.key: row.judgement for row in rows.known}
        judgements = {key: known[key] for key in edits if not _is_open(known.get(key))}
        num_reused = len(judgements)
        still_open = [asked for key, asked in edits.items() if key not in judgements]
        judged = _judge_all(judging, still_open, record, rows)
        what = f"{record.judge.name} judges {benchmark.name}"
        for row in track(judged, total=len(still_open), description=what):
            judgements[row.key] = row.judgement
    cost = sum((row.cost for row in rows.known), Cost())
    return Run(record, judgements, num_reused, cost, len(rows.known))


def _judge_all(
    judging: Judging, edits: Sequence[_Asked], record: RunRecord, rows: Rows[JudgedEdit]
) -> Iterator[JudgedEdit]:
    """Edits, batch by batch; each batch is on disk before it is yielded."""
    meter = Meter(judging)
    for start in range(0, len(edits), _BATCH):
        batch = edits[start : start + _BATCH]
        judged = _judge(judging, batch, record.resize_to_source)
        share = meter.since_last().share(len(batch))
        check_judge(record.judge, [one.judgement for one in judged])
        done = [
            JudgedEdit(
                key=candidate.key,
                item=item.id,
                candidate=candidate.name,
                judgement=judgement,
                answers=answers,
                cost=share,
            )
            for (item, candidate), (judgement, answers) in zip(batch, judged, strict=True)
        ]
        rows.add(done)
        yield from done


def _edits_of(items: Sequence[Item]) -> dict[str, _Asked]:
    """Each edit once, in the order of the items."""
    edits: dict[str, _Asked] = {}
    for item in items:
        for candidate in item.candidates:
            edits.setdefault(candidate.key, _Asked(item, candidate))
    return edits


def _is_open(judgement: Judgement | None) -> bool:
    return judgement is None or judgement.failure is Failure.JUDGE_FAILED


def _judge(judging: Judging, batch: Sequence[_Asked], resize_to_source: bool) -> list[Quoted]:
    """One judgement an edit; an edit that cannot be shown to a judge fails alone."""
    # Edits of one item share their source pictures, which a client then sends once.
    sources: dict[str, list[Image.Image]] = {}
    shown = [_edit(asked, sources, resize_to_source) for asked in batch]
    edits = [one for one in shown if isinstance(one, Edit)]
    judged = iter(quoted(judging, edits) if edits else ())
    return [next(judged) if isinstance(one, Edit) else Quoted(one, ()) for one in shown]


def _edit(
    asked: _Asked, sources: dict[str, list[Image.Image]], resize_to_source: bool
) -> Edit | Judgement:
    item, candidate = asked
    try:
        if item.id not in sources:
            sources[item.id] = [decode_image(one.read(), one.where) for one in item.sources]
        edited = decode_image(candidate.edited.read(), candidate.edited.where)
        if resize_to_source:
            edited = edited.resize(sources[item.id][0].size, Image.Resampling.BICUBIC)
        name = f"{item.id}/{candidate.name}"
        return Edit(
            sources[item.id],
            edited,
            item.instruction,
            id=name,
            operation=item.labels.get("operation", ""),
            truth=candidate.truth,
        )
    except InvalidInputError as error:
        return Judgement.failed(str(error), Failure.BAD_INPUT)


def check_judge(judge: JudgeIdentity, judged: Sequence[Judgement]) -> None:
    """Check that the judge matches that of the run, as far as there are answers.

    Raises:
        InvalidInputError: it does not.
    """
    for judgement in judged:
        if judgement.reward is not None and judgement.judged_by != str(judge):
            raise InvalidInputError(
                f"the run began with {judge}, now {judgement.judged_by} answers; serve the first "
                "one again, or use a new folder"
            )


def failed_edits(judgements: Mapping[str, Judgement]) -> dict[Failure, int]:
    """Number of edits without a judgement by reason; omits reasons that did not occur."""
    found = [one.failure for one in judgements.values() if one.failure is not None]
    return {reason: found.count(reason) for reason in Failure if reason in found}
