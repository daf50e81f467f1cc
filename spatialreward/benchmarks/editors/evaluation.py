"""Evaluates several editors on several benchmarks: pictures, grades, and the report.

The first editor is the base, and is measured with the others, because published figures of one
editor differ between runs and versions of a grader by more than many an improvement. The report
names an editor that cannot be loaded or graded, with the reason; the others' results stay.
"""

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from statistics import median
from typing import NamedTuple

from spatialreward.benchmarks.contestants import How, has_checkpoint, load
from spatialreward.benchmarks.editors.config import DrawingSettings, EditorBenchmarkSettings
from spatialreward.benchmarks.editors.drawing import DrawnRow, draw_pictures
from spatialreward.benchmarks.editors.graders import Grader, JudgeGrader
from spatialreward.benchmarks.editors.grading import GradingRecord, grade_edits
from spatialreward.benchmarks.editors.interface import EditorBenchmark
from spatialreward.benchmarks.editors.pictures import EditedPictures
from spatialreward.benchmarks.editors.results import (
    EditorBenchmarkReport,
    EditorIdentity,
    Measured,
    Sampler,
    report_on,
)
from spatialreward.benchmarks.editors.rubric import Rubric
from spatialreward.benchmarks.results import Price
from spatialreward.benchmarks.statistics import NUM_RESAMPLES, SEED
from spatialreward.errors import InvalidInputError, SpatialRewardError
from spatialreward.figures import commit, versions
from spatialreward.folder_manifest import digest_folder
from spatialreward.judges.load import fetch
from spatialreward.judges.openai_config import PREFIX as OPENAI
from spatialreward.judges.openai_config import OpenAiConfig
from spatialreward.records import Record

OUR_RULES = (
    "missing edits and grades that cannot be read count as the worst score there is (0, or 1 of "
    "ImgEdit-Bench's 1..5), soft scores count where the judge has them; intervals (95 %) and tests "
    "resample prompts, which are instructions with their source"
)


class Entrant(NamedTuple):
    """An editor to evaluate, or a folder of results."""

    name: str
    """As the user named it."""
    folder: Path
    """The checkpoint; for results, their folder in the benchmark's layout."""
    is_results: bool = False


class Grading(NamedTuple):
    """The grader and its options."""

    judge: str
    """In a form of ``load_judge``."""
    how: How = How()
    rubrics: Mapping[str, Rubric] = {}
    """By benchmark: the prompts for the judge there, a model behind an address."""
    resize_to_source: bool | None = None
    """Resize edited pictures to their source's size; None: the benchmark's default."""
    price: Price | None = None


class Lacking(Record):
    """A missing result."""

    editor: str
    """As the user named it; empty: all."""
    benchmark: str
    reason: str


class EditorEvaluation(Record):
    """The whole evaluation, as in ``report.json``."""

    benchmarks: tuple[EditorBenchmarkReport, ...]
    missing: tuple[Lacking, ...]
    our_rules: str = OUR_RULES
    num_resamples: int = NUM_RESAMPLES
    seed: int = SEED
    versions: dict[str, str]
    commit: str


class _Drawn(NamedTuple):
    """An editor's pictures of a benchmark."""

    number: int
    """Number of the editor, from 1."""
    pictures: EditedPictures
    identity: EditorIdentity
    sampler: Sampler | None
    not_drawn: Mapping[str, str]
    """Tasks that the editor does not support, and why."""


def evaluate_editors(
    benchmarks: Sequence[EditorBenchmark],
    entrants: Sequence[Entrant],
    grading: Grading,
    out: Path,
    settings: EditorBenchmarkSettings,
    *,
    missing: Sequence[Lacking] = (),
    notice: Callable[[str], None] = lambda line: None,
) -> EditorEvaluation:
    """Draw and grade whatever is missing, and score.

    Args:
        benchmarks: with different names.
        entrants: the editors; the first is the base.
        grading: the grader of the edits.
        out: receives ``BENCHMARK/editor-N`` with pictures in the benchmark's layout, and
            ``BENCHMARK/grades/editor-N`` with each editor's rows.
        settings: how to draw edits, and retries of unreadable answers.
        missing: results known to be missing already.
        notice: receives remarks on the grader for the reader.

    Raises:
        InvalidInputError: there is no result at all; gives the reason of the first one.
    """
    lacking = list(missing)
    drawn: dict[str, list[_Drawn]] = defaultdict(list)
    for one in _draw_all(benchmarks, entrants, out, settings):
        if isinstance(one, Lacking):
            lacking.append(one)
        else:
            drawn[one.pictures.benchmark.name].append(one)
    reports = []
    with _Graders(grading, settings.num_retries) as graders:
        for benchmark in benchmarks:
            found = [_measured(one, graders, out, settings) for one in drawn[benchmark.name]]
            lacking += [one for one in found if isinstance(one, Lacking)]
            if measured := [one for one in found if isinstance(one, Measured)]:
                notes = graders.of(benchmark).notice
                reports.append(report_on(benchmark, measured, notes, grading.price))
    for remark in filter(None, dict.fromkeys(one.grader_notice for one in reports)):
        notice(f"{grading.judge}: {remark}")
    if not reports:
        first = lacking[0]
        where = " on ".join(filter(None, (first.editor, first.benchmark)))
        raise InvalidInputError(f"nothing was measured: {where}: {first.reason}")
    return EditorEvaluation(
        benchmarks=tuple(reports), missing=tuple(lacking), versions=versions(), commit=commit()
    )


def check_grading(grading: Grading) -> None:
    """Check that a judge is usable, before hours of drawing.

    Raises:
        SpatialRewardError: it is missing and cannot be fetched, its address, key or protocol
            is wrong, or a rubric is for another kind of judge.
    """
    if has_checkpoint(grading.judge):
        fetch(grading.judge)
    else:
        load(grading.judge, grading.how).close()
    if grading.rubrics and not grading.judge.startswith(OPENAI):
        raise InvalidInputError(
            f"grader prompts of {next(iter(grading.rubrics))}: expected a judge behind an address, "
            f"openai:MODEL@https://HOST/v1, got {grading.judge}"
        )


class _Graders(ExitStack):
    """The grader of each benchmark; loads a judge once, on first use."""

    def __init__(self, grading: Grading, num_retries: int) -> None:
        super().__init__()
        self.grading = grading
        self._num_retries = num_retries
        self._known: dict[str, Grader] = {}

    def of(self, benchmark: EditorBenchmark) -> Grader:
        """The grader of a benchmark."""
        rubric = self.grading.rubrics.get(benchmark.name)
        # With its own prompts, a judge is the same for all benchmarks.
        name = "" if rubric is None else benchmark.name
        if name not in self._known:
            self._known[name] = self._by_judge() if rubric is None else self._by_rubric(rubric)
        return self._known[name]

    def _by_judge(self) -> Grader:
        judging = self.enter_context(load(self.grading.judge, self.grading.how))
        return JudgeGrader(judging, self._num_retries)

    def _by_rubric(self, rubric: Rubric) -> Grader:
        from spatialreward.benchmarks.editors.rubric_grader import RubricGrader

        config = OpenAiConfig.parse(self.grading.judge)
        return RubricGrader(config, rubric, self._num_retries)


def _draw_all(
    benchmarks: Sequence[EditorBenchmark],
    entrants: Sequence[Entrant],
    out: Path,
    settings: EditorBenchmarkSettings,
) -> Iterator[_Drawn | Lacking]:
    """The pictures of each editor on each benchmark, or the reason for their absence."""
    for number, entrant in enumerate(entrants, start=1):
        try:
            weights = "" if entrant.is_results else digest_folder(entrant.folder)
        except SpatialRewardError as error:
            yield Lacking(editor=entrant.name, benchmark="", reason=str(error))
            continue
        identity = EditorIdentity(name=entrant.name, weights=weights)
        for benchmark in benchmarks:
            place = entrant.folder if entrant.is_results else out / benchmark.name / _folder(number)
            pictures = EditedPictures(benchmark, place)
            try:
                if entrant.is_results:
                    pictures.check()
                    yield _Drawn(number, pictures, identity, None, {})
                else:
                    yield _drawn(number, entrant, pictures, identity, settings)
            except SpatialRewardError as error:
                why = str(error)
                yield Lacking(editor=entrant.name, benchmark=benchmark.name, reason=why)


def _drawn(
    number: int,
    entrant: Entrant,
    pictures: EditedPictures,
    identity: EditorIdentity,
    settings: EditorBenchmarkSettings,
) -> _Drawn:
    sampling = settings.sampling
    rows, refused = draw_pictures(entrant.folder, pictures, identity.weights, sampling)
    return _Drawn(number, pictures, identity, _sampler(sampling, rows), refused)


def _sampler(settings: DrawingSettings, rows: Sequence[DrawnRow]) -> Sampler:
    return Sampler(
        settings=settings,
        editor=rows[0].editor if rows else {},
        times=rows[0].times if rows else (),
        device=rows[0].device if rows else "",
        num_drawn=len(rows),
        seconds_an_edit=median(one.seconds for one in rows) if rows else None,
    )


def _measured(
    drawn: _Drawn, graders: _Graders, out: Path, settings: EditorBenchmarkSettings
) -> Measured | Lacking:
    benchmark, resizes = drawn.pictures.benchmark, graders.grading.resize_to_source
    try:
        grader = graders.of(benchmark)
        record = GradingRecord(
            benchmark=benchmark.name,
            digest=benchmark.published.digest,
            grader=grader.identity,
            resize_to_source=benchmark.resizes_to_source if resizes is None else resizes,
            num_retries=settings.num_retries,
        )
        rows = out / benchmark.name / "grades" / _folder(drawn.number)
        graded = grade_edits(drawn.pictures, grader, rows, record)
    except SpatialRewardError as error:
        name = drawn.identity.name
        return Lacking(editor=name, benchmark=benchmark.name, reason=str(error))
    # The reason for not drawing a picture is more specific than its absence.
    missing = {task: drawn.not_drawn.get(task, why) for task, why in graded.missing.items()}
    graded = graded._replace(missing=missing)
    return Measured(drawn.number, drawn.identity, drawn.sampler, graded)


def _folder(number: int) -> str:
    return f"editor-{number}"
