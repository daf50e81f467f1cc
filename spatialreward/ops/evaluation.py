"""Runs an evaluation of judges on benchmarks, and puts it where it is looked for.

That is a folder, MLflow where a server is set, and for a registered judge the report that its
promotion goes by.
"""

import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from spatialreward.artifacts import DocumentRef
from spatialreward.benchmarks.contestants import How, contestants
from spatialreward.benchmarks.evaluation import (
    Evaluated,
    Evaluation,
    Missing,
    evaluate_judges,
    evidence_of,
)
from spatialreward.benchmarks.interface import Benchmark
from spatialreward.benchmarks.labelled import LabelledEdits
from spatialreward.benchmarks.load import WORLD, Named
from spatialreward.benchmarks.page import write_report
from spatialreward.benchmarks.results import Price
from spatialreward.errors import InvalidInputError, SpatialRewardError
from spatialreward.ops.tracking import Tracker, open_run

if TYPE_CHECKING:
    from spatialreward.ops.registry import Registered

STEP = "evaluate-judge"
"""As in the pipeline, so that MLflow's page compares the figures."""
REGISTERED = "models:/"
_NOT_IN_METRIC_NAMES = re.compile(r"[^\w./ -]")


class Plan(NamedTuple):
    """What is to be measured."""

    judges: Sequence[str]
    bases: Sequence[str]
    benchmarks: Sequence[Named]
    """Empty, for one registered judge: the labelled edits that the champion was measured on."""
    out: Path
    how: How = How()
    prices: Mapping[str, Price] = {}
    resize_to_source: bool = False


class Outcome(NamedTuple):
    """What was measured, and the reports that registered judges have now."""

    report: Evaluation
    stored: Mapping[str, DocumentRef]
    """By ``models:/NAME/VERSION``."""


def run_evaluation(plan: Plan, notice: Callable[[str], None]) -> Outcome:
    """Judge what is not judged yet, write the report, log it, and store what promotion needs.

    Args:
        plan: what is measured; ``out`` may be that of a run that was killed.
        notice: is told what a reader has to know.

    Raises:
        InvalidInputError: nothing can be measured, a judge or benchmark is named twice, or the
            files of a registered judge are not those that were registered.
        ReportError: no benchmark is named, and the champion's report cannot be believed.
        TrackingError: the server that is set does not answer, or has no such model.
        StorageError: the object store does not answer.
    """
    registered = [one for one in plan.judges if one.startswith(REGISTERED)]
    versions = _versions(registered)
    judges = [versions[one].model.uri if one in versions else one for one in plan.judges]
    named = plan.benchmarks or [_champions(plan.judges, versions)]
    names = [one.name for one in named]
    if twice := [name for name in names if names.count(name) > 1]:
        raise InvalidInputError(f"benchmark {twice[0]}: is named twice")
    benchmarks, missing = _opened(named, plan.out)
    prices = {
        judge: plan.prices[one]
        for judge, one in zip(judges, plan.judges, strict=True)
        if one in plan.prices
    }
    found = contestants(judges, plan.bases, plan.how, prices, with_pixels=WORLD in benchmarks)
    with open_run(STEP, tags={"judges": ", ".join(judges)}) as tracker:
        tracker.log_params({one.name: one.place or "drawn here" for one in named})
        evaluated = evaluate_judges(
            list(benchmarks.values()),
            found.contestants,
            plan.out,
            resize_to_source=plan.resize_to_source,
            missing=[*missing, *found.missing],
            notice=notice,
        )
        log_evaluation(tracker, evaluated.report, write_report(evaluated.report, plan.out))
        stored = _stored(tracker, plan, versions.values(), named, benchmarks, evaluated, notice)
    return Outcome(evaluated.report, stored)


def log_evaluation(tracker: Tracker, report: Evaluation, files: Sequence[Path]) -> None:
    """Log the report, and each judge's figures of all rows, ours, as ``BENCHMARK/JUDGE/FIGURE``.

    Judges of the same name are numbered.
    """
    for path in files:
        tracker.log_file(path, "evaluation" if path.suffix != ".png" else "evaluation/plots")
    figures: dict[str, float] = {}
    for benchmark in report.benchmarks:
        seen: Counter[str] = Counter()
        for result in benchmark.judges:
            seen[result.judge.name] += 1
            number = seen[result.judge.name]
            name = result.judge.name if number == 1 else f"{result.judge.name}-{number}"
            for row in result.metrics:
                if row.ours is not None and "/" not in row.name:
                    figures[metric_name(f"{benchmark.benchmark}/{name}/{row.name}")] = row.ours
    tracker.log_metrics(figures)


def metric_name(name: str) -> str:
    """A figure's name as MLflow takes it."""
    return _NOT_IN_METRIC_NAMES.sub("_", name)


def _opened(named: Sequence[Named], out: Path) -> tuple[dict[str, Benchmark], list[Missing]]:
    """The benchmarks that can be read, by name, and why the others cannot.

    Raises:
        InvalidInputError: none of them can be read.
    """
    found: dict[str, Benchmark] = {}
    missing = []
    for one in named:
        try:
            found[one.name] = one.open(out / "drawn")
        except SpatialRewardError as error:
            if len(named) == 1:
                raise
            missing.append(Missing(judge="", benchmark=one.name, reason=str(error)))
    if not found:
        raise InvalidInputError(f"{missing[0].benchmark}: {missing[0].reason}")
    return found, missing


def _versions(judges: Sequence[str]) -> "dict[str, Registered]":
    """What the registry says of each now: an alias may move while it is measured."""
    if not judges:
        return {}
    from spatialreward.ops.registry import bring_verified, look_up

    found = {judge: look_up(judge) for judge in judges}
    for one in found.values():
        bring_verified(one)
    return found


def _champions(judges: Sequence[str], versions: "Mapping[str, Registered]") -> Named:
    """The labelled edits that the champion was measured on."""
    if not versions:
        raise InvalidInputError(
            f"--benchmark missing: expected what to measure {judges[0]} on, such as "
            f"{WORLD}=FOLDER or mer-bench=FOLDER"
        )
    from spatialreward.ops.registered import champions_edits

    first = next(iter(versions.values()))
    return Named(WORLD, str(champions_edits(first.model.name)))


def _stored(
    tracker: Tracker,
    plan: Plan,
    versions: "Iterable[Registered]",
    named: Sequence[Named],
    benchmarks: Mapping[str, Benchmark],
    evaluated: Evaluated,
    notice: Callable[[str], None],
) -> dict[str, DocumentRef]:
    """Store the report of each registered judge that has what a gate asks for."""
    stored: dict[str, DocumentRef] = {}
    world = benchmarks.get(WORLD)
    edits = next((one.edits for one in named if one.name == WORLD), None)
    for version in versions:
        uri = version.model.uri
        run = evaluated.runs.get((uri, WORLD))
        if plan.how.changed:
            why = f"--{plan.how.changed} makes another judge of {uri} than is registered"
        elif run is None or not isinstance(world, LabelledEdits):
            why = f"{uri} was not measured on labelled edits, benchmark {WORLD}"
        elif edits is None or not edits.has_checksum:
            why = f"{edits or WORLD} has no checksum to name the edits by"
        else:
            from spatialreward.ops.registered import store_version_report

            stored[uri] = store_version_report(
                tracker,
                version,
                edits,
                world.figures(run.judgements).measured(),
                [
                    evidence_of(benchmark, evaluated.runs[uri, name])
                    for name, benchmark in benchmarks.items()
                    if (uri, name) in evaluated.runs
                ],
            )
            continue
        notice(f"no report is stored: {why}")
    return stored
