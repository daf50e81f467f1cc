"""Evaluates several judges on several benchmarks, and reports the results.

The report names a judge that cannot be loaded or fails on a benchmark, with the missing results;
the others' results stay. Each judge is loaded once.
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
    """A judge in the evaluation."""

    name: str
    """As the user named it."""
    opening: Callable[[], Judging]
    role: Role = Role.JUDGE
    price: Price | None = None


class Missing(Record):
    """A missing result."""

    judge: str
    """As the user named it; empty: all judges."""
    benchmark: str
    """Empty: all benchmarks."""
    reason: str
    role: Role = Role.JUDGE
    """Of the judge."""


class Evaluation(Record):
    """The whole evaluation, as in ``report.json``."""

    benchmarks: tuple[BenchmarkReport, ...]
    missing: tuple[Missing, ...]
    our_rules: str = OUR_RULES
    calibration_rules: str = CALIBRATION_RULES
    num_resamples: int = NUM_RESAMPLES
    seed: int = SEED
    versions: dict[str, str]
    commit: str


class Evaluated(NamedTuple):
    """An evaluation, and its runs."""

    report: Evaluation
    runs: dict[tuple[str, str], Run]
    """By judge and benchmark."""


def evaluate_judges(
    benchmarks: Sequence[Benchmark],
    contestants: Sequence[Contestant],
    out: Path,
    *,
    resize_to_source: bool = False,
    missing: Sequence[Missing] = (),
    notice: Callable[[str], None] = lambda line: None,
) -> Evaluated:
    """Judge all benchmarks with all judges as far as missing, and score.

    Args:
        benchmarks: with different names.
        contestants: the judges; each is compared with the first.
        out: receives ``ROLE-N/BENCHMARK``, such as ``judge-1/world``, with each run's rows.
        resize_to_source: resize edited pictures to their (first) source's size.
        missing: results known to be missing already.
        notice: receives remarks on judges for the reader.

    Raises:
        InvalidInputError: there is no result at all; gives the reason of the first one.
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
    """The evidence of a run for promotion."""
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
    """A run for each benchmark, or the reason for having none."""
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
