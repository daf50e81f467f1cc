"""Judges the edits of a benchmark, each once, and keeps the judgements on disk as they come.

A run is a folder: ``run.json`` says of which benchmark and judge it is, ``rows.jsonl`` has a line
an edit with all of its judgement, the answers as they were written and what it has cost. A run that
was killed goes on behind its last whole line, and takes neither another judge nor another
benchmark. Edits on which the engine or its server broke are judged again then; every other
judgement stays.
"""

import fcntl
import json
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Literal, NamedTuple

from PIL import Image
from pydantic import Field, ValidationError

from spatialreward.benchmarks.interface import Benchmark, Candidate, Item
from spatialreward.edits import Edit
from spatialreward.errors import Failure, InvalidInputError
from spatialreward.images import decode_image
from spatialreward.judges.interface import (
    Judging,
    Listener,
    Metered,
    Tokens,
    Writing,
    listen_to_nothing,
)
from spatialreward.progress import track
from spatialreward.records import JudgeIdentity, Judgement, Record, Streams, Text
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


class Cost(Record):
    """What judging has cost, over all processes that worked on a run."""

    seconds: float = Field(0.0, ge=0)
    """In which the judge was busy."""
    prompt_tokens: float = Field(0.0, ge=0)
    completion_tokens: float = Field(0.0, ge=0)
    """Both are 0 where the judge counts none; see ``Metered``."""

    def __add__(self, other: "Cost") -> "Cost":
        """Both."""
        return Cost(**{name: value + getattr(other, name) for name, value in self})

    def share(self, parts: int) -> "Cost":
        """One of equal parts."""
        return Cost(**{name: value / parts for name, value in self})


class JudgedEdit(Record):
    """One line of ``rows.jsonl``."""

    key: str
    item: str
    """The first item that shows the edit."""
    candidate: str
    """Its name there."""
    judgement: Judgement
    answers: tuple[dict[Streams, Text], ...] = ()
    """Word for word, once a pass; none of a judge that does not write or hand out what it wrote."""
    cost: Cost = Cost()
    """Its equal share of the batch in which it was judged."""


class Run(NamedTuple):
    """All edits of a benchmark, judged."""

    record: RunRecord
    judgements: dict[str, Judgement]
    """By key."""
    num_reused: int
    """Judgements that were there before."""
    cost: Cost
    """Of all lines of the folder, those of edits that were judged again included."""
    num_asked: int
    """Lines of the folder."""


class _Asked(NamedTuple):
    item: Item
    candidate: Candidate


class _Judged(NamedTuple):
    judgement: Judgement
    answers: tuple[dict[Streams, str], ...]


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
        lines = _read_rows(rows, folder / ROWS_FILE)
        known = {row.key: row.judgement for row in lines}
        judgements = {key: known[key] for key in edits if not _is_open(known.get(key))}
        num_reused = len(judgements)
        still_open = [asked for key, asked in edits.items() if key not in judgements]
        judged = _judge_all(judging, still_open, record, rows)
        what = f"{record.judge.name} judges {benchmark.name}"
        for row in track(judged, total=len(still_open), description=what):
            judgements[row.key] = row.judgement
            lines.append(row)
    cost = sum((row.cost for row in lines), Cost())
    return Run(record, judgements, num_reused, cost, len(lines))


def _judge_all(
    judging: Judging, edits: Sequence[_Asked], record: RunRecord, rows: IO[bytes]
) -> Iterator[JudgedEdit]:
    """Edits, batch by batch; each batch is on disk before it is given."""
    meter = _Meter(judging)
    for start in range(0, len(edits), _BATCH):
        batch = edits[start : start + _BATCH]
        judged = _judge(judging, batch, record.resize_to_source)
        share = meter.since_last().share(len(batch))
        _check_judge(record.judge, [one.judgement for one in judged])
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
        rows.writelines(json.dumps(row.model_dump(mode="json")).encode() + b"\n" for row in done)
        rows.flush()
        yield from done


class _Meter:
    """Says what was spent between two looks."""

    def __init__(self, judging: Judging) -> None:
        self._judging = judging
        self._last = self._now()

    def since_last(self) -> Cost:
        before, self._last = self._last, self._now()
        return Cost(**{name: value - getattr(before, name) for name, value in self._last})

    def _now(self) -> Cost:
        tokens = self._judging.tokens if isinstance(self._judging, Metered) else Tokens(0, 0)
        return Cost(
            seconds=time.monotonic(),
            prompt_tokens=tokens.prompt,
            completion_tokens=tokens.completion,
        )


def _edits_of(items: Sequence[Item]) -> dict[str, _Asked]:
    """Each edit once, in the order of the items."""
    edits: dict[str, _Asked] = {}
    for item in items:
        for candidate in item.candidates:
            edits.setdefault(candidate.key, _Asked(item, candidate))
    return edits


def _is_open(judgement: Judgement | None) -> bool:
    return judgement is None or judgement.failure is Failure.JUDGE_FAILED


def _judge(judging: Judging, batch: Sequence[_Asked], resize_to_source: bool) -> list[_Judged]:
    """One judgement an edit; an edit that cannot be shown to a judge fails alone."""
    # Edits of one item share their source pictures: a served judge then gets them once.
    sources: dict[str, list[Image.Image]] = {}
    shown = [_edit(asked, sources, resize_to_source) for asked in batch]
    edits = [one for one in shown if isinstance(one, Edit)]
    written: dict[int, list[dict[Streams, str]]] = {id(edit): [] for edit in edits}
    with _listening(judging, lambda edit, answers: written[id(edit)].append(dict(answers))):
        judgements = iter(judging.judge(edits) if edits else ())
    return [
        _Judged(next(judgements), tuple(written[id(one)]))
        if isinstance(one, Edit)
        else _Judged(one, ())
        for one in shown
    ]


@contextmanager
def _listening(judging: Judging, listener: Listener) -> Iterator[None]:
    if not isinstance(judging, Writing):
        yield
        return
    judging.tell(listener)
    try:
        yield
    finally:
        judging.tell(listen_to_nothing)


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


def _read_rows(rows: IO[bytes], path: Path) -> list[JudgedEdit]:
    """What was judged before; the half line of a run that was killed is cut off."""
    rows.seek(0)
    whole, newline, _ = rows.read().rpartition(b"\n")
    rows.truncate(len(whole) + len(newline))
    judged = []
    for number, line in enumerate(whole.splitlines(), start=1):
        try:
            judged.append(JudgedEdit.model_validate_json(line))
        except ValidationError as error:
            problem = first_problem(error, JudgedEdit)
            raise InvalidInputError(f"{path}: line {number}: {problem}") from error
    return judged


def failed_edits(judgements: Mapping[str, Judgement]) -> dict[Failure, int]:
    """Numbers of edits without a judgement by reason; reasons that did not occur are not there."""
    found = [one.failure for one in judgements.values() if one.failure is not None]
    return {reason: found.count(reason) for reason in Failure if reason in found}
