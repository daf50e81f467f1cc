"""Judges the edits of a benchmark, each once, and keeps the judgements on disk as they come.

A run is a folder: ``run.json`` says of which benchmark and judge it is, ``rows.jsonl`` has a line
an edit with all of its judgement. A run that was killed goes on behind its last whole line, and
takes neither another judge nor another benchmark. Edits on which the engine or its server broke are
judged again then; every other judgement stays.
"""

import fcntl
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Literal, NamedTuple

from PIL import Image
from pydantic import ValidationError

from spatialreward.benchmarks.interface import Benchmark, Candidate, Item
from spatialreward.edits import Edit
from spatialreward.errors import Failure, InvalidInputError
from spatialreward.images import decode_image
from spatialreward.judges.interface import Judging
from spatialreward.progress import track
from spatialreward.records import JudgeIdentity, Judgement, Record
from spatialreward.validation import first_problem

RUN_FILE, ROWS_FILE = "run.json", "rows.jsonl"
_BATCH = 8


class RunRecord(Record):
    """What a run is of; one with another record is another run."""

    version: Literal[1] = 1
    """Of the form of the folder."""
    benchmark: str
    digest: str
    """Of the benchmark's edits and their order."""
    judge: JudgeIdentity
    resize_to_source: bool
    """Whether edited pictures are brought to the size of their source before they are judged."""


class JudgedEdit(Record):
    """One line of ``rows.jsonl``."""

    key: str
    item: str
    """The first item that shows the edit."""
    candidate: str
    """Its name there."""
    judgement: Judgement


class Run(NamedTuple):
    """All edits of a benchmark, judged."""

    record: RunRecord
    judgements: dict[str, Judgement]
    """By key."""
    num_reused: int
    """Judgements that were there before."""


class _Asked(NamedTuple):
    item: Item
    candidate: Candidate


def judge_benchmark(
    benchmark: Benchmark, judging: Judging, folder: Path, *, resize_to_source: bool = False
) -> Run:
    """Judge what is not judged yet.

    Args:
        benchmark: whose edits are judged.
        judging: by whom.
        folder: new, or that of a run of the same judge on the same benchmark.
        resize_to_source: bring edited pictures to the size of their (first) source.

    Raises:
        InvalidInputError: the folder is another run's, damaged or in use, or another judge answers
            in the middle of the run.
        ServingError: a served judge cannot be asked.
    """
    record = RunRecord(
        benchmark=benchmark.name,
        digest=benchmark.published.digest,
        judge=judging.identity,
        resize_to_source=resize_to_source,
    )
    folder.mkdir(parents=True, exist_ok=True)
    edits = _edits_of(benchmark.published.items)
    with _rows_file(folder) as rows:
        _check_record(folder, record)
        known = _read_rows(rows, folder / ROWS_FILE)
        judgements = {key: known[key] for key in edits if not _is_open(known.get(key))}
        num_reused = len(judgements)
        still_open = [asked for key, asked in edits.items() if key not in judgements]
        judged = _judge_all(judging, still_open, record, rows)
        progress = track(judged, total=len(still_open), description=f"judge {benchmark.name}")
        judgements |= dict(progress)
    return Run(record, judgements, num_reused)


def _judge_all(
    judging: Judging, edits: Sequence[_Asked], record: RunRecord, rows: IO[bytes]
) -> Iterator[tuple[str, Judgement]]:
    """Keys and judgements, batch by batch; each batch is on disk before it is given."""
    for start in range(0, len(edits), _BATCH):
        batch = edits[start : start + _BATCH]
        judged = _judge(judging, batch, record.resize_to_source)
        _check_judge(record.judge, judged)
        _append(rows, batch, judged)
        yield from zip((asked.candidate.key for asked in batch), judged, strict=True)


def _edits_of(items: Sequence[Item]) -> dict[str, _Asked]:
    """Each edit once, in the order of the items."""
    edits: dict[str, _Asked] = {}
    for item in items:
        for candidate in item.candidates:
            edits.setdefault(candidate.key, _Asked(item, candidate))
    return edits


def _is_open(judgement: Judgement | None) -> bool:
    return judgement is None or judgement.failure is Failure.JUDGE_FAILED


def _judge(judging: Judging, batch: Sequence[_Asked], resize_to_source: bool) -> list[Judgement]:
    """One judgement an edit; an edit that cannot be shown to a judge fails alone."""
    # Edits of one item share their source pictures: a served judge then gets them once.
    sources: dict[str, list[Image.Image]] = {}
    shown = [_edit(asked, sources, resize_to_source) for asked in batch]
    edits = [one for one in shown if isinstance(one, Edit)]
    answers = iter(judging.judge(edits) if edits else ())
    return [next(answers) if isinstance(one, Edit) else one for one in shown]


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
        return Edit(sources[item.id], edited, item.instruction, id=name)
    except InvalidInputError as error:
        return Judgement.failed(str(error), Failure.BAD_INPUT)


def _check_record(folder: Path, record: RunRecord) -> None:
    """Begin a run, or make sure that this is the one which began here."""
    path = folder / RUN_FILE
    if not path.exists():
        unfinished = path.with_suffix(".partial")
        unfinished.write_text(record.model_dump_json(indent=2) + "\n", encoding="utf-8")
        unfinished.replace(path)
        return
    try:
        begun = RunRecord.model_validate_json(path.read_bytes())
    except ValidationError as error:
        raise InvalidInputError(f"{path}: {first_problem(error, RunRecord)}") from error
    for field in RunRecord.model_fields:
        before, now = getattr(begun, field), getattr(record, field)
        if before != now:
            raise InvalidInputError(
                f"{path}: {field}: the run here began with {before}, this one has {now}; "
                "use a new folder"
            )


def _check_judge(judge: JudgeIdentity, judged: Sequence[Judgement]) -> None:
    for judgement in judged:
        if judgement.reward is not None and judgement.judged_by != str(judge):
            raise InvalidInputError(
                f"the run began with {judge}, now {judgement.judged_by} answers; serve the first "
                "one again, or use a new folder"
            )


@contextmanager
def _rows_file(folder: Path) -> Iterator[IO[bytes]]:
    """The rows for reading and appending, for this process alone."""
    path = folder / ROWS_FILE
    with path.open("a+b") as rows:
        try:
            fcntl.flock(rows, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise InvalidInputError(f"{path}: another run is writing here") from error
        yield rows


def _read_rows(rows: IO[bytes], path: Path) -> dict[str, Judgement]:
    """What was judged before; the half line of a run that was killed is cut off."""
    rows.seek(0)
    whole, newline, _ = rows.read().rpartition(b"\n")
    rows.truncate(len(whole) + len(newline))
    judged: dict[str, Judgement] = {}
    for number, line in enumerate(whole.splitlines(), start=1):
        try:
            row = JudgedEdit.model_validate_json(line)
        except ValidationError as error:
            problem = first_problem(error, JudgedEdit)
            raise InvalidInputError(f"{path}: line {number}: {problem}") from error
        judged[row.key] = row.judgement
    return judged


def _append(rows: IO[bytes], batch: Sequence[_Asked], judged: Sequence[Judgement]) -> None:
    for (item, candidate), judgement in zip(batch, judged, strict=True):
        row = JudgedEdit(
            key=candidate.key, item=item.id, candidate=candidate.name, judgement=judgement
        )
        rows.write(json.dumps(row.model_dump(mode="json")).encode() + b"\n")
    rows.flush()


def failed_edits(judgements: Mapping[str, Judgement]) -> dict[Failure, int]:
    """Numbers of edits without a judgement by reason; reasons that did not occur are not there."""
    found = [one.failure for one in judgements.values() if one.failure is not None]
    return {reason: found.count(reason) for reason in Failure if reason in found}
