"""Several judges on several benchmarks: what is measured, and the report of all of it.

A judge that cannot be loaded, or that breaks on one benchmark, is named in the report with what it
lacks; the others' results stay. Each judge is loaded once.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

from spatialreward.benchmarks.evidence import BenchmarkEvidence, PromptValues
from spatialreward.benchmarks.interface import Benchmark
from spatialreward.benchmarks.labelled import WITHIN_GROUP_AGREEMENT
from spatialreward.benchmarks.results import BenchmarkReport, Measured, Price, Role, report_on
from spatialreward.benchmarks.run import Run, failed_edits, judge_benchmark
from spatialreward.benchmarks.statistics import NUM_RESAMPLES, SEED
from spatialreward.errors import InvalidInputError, SpatialRewardError
from spatialreward.figures import commit, versions
from spatialreward.judges.interface import Judging
from spatialreward.records import Record

OUR_RULES = (
    "failed and missing judgements are wrong, ties are neither hidden nor broken; intervals "
    "(95 %) and tests resample prompts"
)
CALIBRATION_RULES = (
    "expected calibration error over ten bins of equal width, sum of n_bin / N times "
    "|mean predicted - mean true|. Win probability: of each pair, 1 / (1 + exp(-k times the "
    "difference of rewards)), k the likeliest on the other half of the prompts. Reward: against "
    "the true reward"
)


class Contestant(NamedTuple):
    """A judge that takes part."""

    name: str
    """As it was named."""
    opening: Callable[[], Judging]
    role: Role = Role.JUDGE
    price: Price | None = None


class Missing(Record):
    """A result that there is none of."""

    judge: str
    """As it was named; empty: no judge was asked."""
    benchmark: str
    """Empty: none was begun."""
    reason: str
    role: Role = Role.JUDGE
    """Of the judge."""


class Evaluation(Record):
    """All of an evaluation, as ``report.json`` has it."""

    benchmarks: tuple[BenchmarkReport, ...]
    missing: tuple[Missing, ...]
    our_rules: str = OUR_RULES
    calibration_rules: str = CALIBRATION_RULES
    num_resamples: int = NUM_RESAMPLES
    seed: int = SEED
    versions: dict[str, str]
    commit: str


class Evaluated(NamedTuple):
    """An evaluation, and the runs behind it."""

    report: Evaluation
    runs: dict[tuple[str, str], Run]
    """By the judge's name and the benchmark's."""


def evaluate_judges(
    benchmarks: Sequence[Benchmark],
    contestants: Sequence[Contestant],
    out: Path,
    *,
    resize_to_source: bool = False,
    missing: Sequence[Missing] = (),
    notice: Callable[[str], None] = lambda told: None,
) -> Evaluated:
    """Judge all benchmarks by all judges, as far as that is not done yet, and score.

    Args:
        benchmarks: what is judged, each of another name.
        contestants: by whom; each is compared with the first.
        out: gets ``ROLE-N/BENCHMARK``, such as ``judge-1/world``, with each run's rows.
        resize_to_source: bring edited pictures to the size of their (first) source.
        missing: what is known to be missing already.
        notice: is told what a reader must know of a judge.

    Raises:
        InvalidInputError: there is no result at all; says why the first is missing.
    """
    runs: dict[tuple[str, str], Run] = {}
    lacking = list(missing)
    seen: Counter[Role] = Counter()
    for one in contestants:
        seen[one.role] += 1
        place = out / f"{one.role}-{seen[one.role]}"
        for name, result in _judged(one, benchmarks, place, resize_to_source, notice):
            if isinstance(result, Missing):
                lacking.append(result)
            else:
                runs[one.name, name] = result
    reports = []
    for benchmark in benchmarks:
        measured = [
            Measured(one.name, one.role, runs[one.name, benchmark.name], one.price)
            for one in contestants
            if (one.name, benchmark.name) in runs
        ]
        if measured:
            reports.append(report_on(benchmark, measured))
    if not reports:
        first = lacking[0]
        where = " on ".join(filter(None, (first.judge, first.benchmark)))
        raise InvalidInputError(f"nothing was measured: {where}: {first.reason}")
    report = Evaluation(
        benchmarks=tuple(reports), missing=tuple(lacking), versions=versions(), commit=commit()
    )
    return Evaluated(report, runs)


def evidence_of(benchmark: Benchmark, run: Run) -> BenchmarkEvidence:
    """What promotion has to know of a run."""
    metrics = [one for one in benchmark.score(run.judgements) if one.ours is not None]
    chosen = [metrics[0], *(one for one in metrics[1:] if one.name == WITHIN_GROUP_AGREEMENT)]
    return BenchmarkEvidence(
        benchmark=benchmark.name,
        digest=benchmark.published.digest,
        num_edits=len(run.judgements),
        num_failed=sum(failed_edits(run.judgements).values()),
        figures={one.name: PromptValues(**one.ours._asdict()) for one in chosen},
    )


def _judged(
    one: Contestant,
    benchmarks: Sequence[Benchmark],
    folder: Path,
    resize_to_source: bool,
    notice: Callable[[str], None],
) -> Iterator[tuple[str, Run | Missing]]:
    """A run, or why there is none, for each benchmark."""
    with ExitStack() as stack:
        try:
            judging = stack.enter_context(one.opening())
        except SpatialRewardError as error:
            yield "", Missing(judge=one.name, benchmark="", reason=str(error), role=one.role)
            return
        if judging.notice:
            notice(f"{one.name}: {judging.notice}")
        for benchmark in benchmarks:
            place = folder / benchmark.name
            try:
                run = judge_benchmark(benchmark, judging, place, resize_to_source=resize_to_source)
            except SpatialRewardError as error:
                yield (
                    benchmark.name,
                    Missing(
                        judge=one.name,
                        benchmark=benchmark.name,
                        reason=str(error),
                        role=one.role,
                    ),
                )
            else:
                yield benchmark.name, run
