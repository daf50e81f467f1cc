"""A judge's results on each benchmark by prompt, for comparing two stored reports.

A judge is significantly better than another if the 95 % interval of the difference, over prompts,
is above 0, and significantly worse if it is below 0.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from pydantic import Field, FiniteFloat

from spatialreward.benchmarks.config import JudgeGate
from spatialreward.benchmarks.statistics import Interval, Values, compare
from spatialreward.errors import InvalidInputError
from spatialreward.records import Record


class PromptValues(Record):
    """See ``Values``."""

    prompts: tuple[str, ...]
    values: tuple[FiniteFloat, ...]
    strata: tuple[str, ...] = ()

    def as_values(self) -> Values:
        """For the statistics."""
        return Values(self.prompts, self.values, self.strata)


class BenchmarkEvidence(Record):
    """One judge's results on one benchmark."""

    benchmark: str
    digest: str
    """Of the benchmark's edits and their order; figures of two digests are not compared."""
    num_edits: int = Field(ge=1)
    num_failed: int = Field(ge=0)
    figures: dict[str, PromptValues]
    """The benchmark's first figure, which decides promotion, and within-group agreement where
    measured."""

    @property
    def failed_share(self) -> float:
        """Among the edits."""
        return self.num_failed / self.num_edits


class Beside(NamedTuple):
    """Candidate and champion in one figure of one benchmark, or the reason for having none."""

    benchmark: str
    figure: str
    difference: float | None
    """The candidate's figure minus the champion's."""
    interval: Interval | None
    complaint: str
    """Why the candidate cannot replace this champion; empty: no objection."""


def too_many_failures(gate: JudgeGate, candidate: Sequence[BenchmarkEvidence]) -> list[str]:
    """The benchmarks on which a judge exceeds its gate's share of failures, in words."""
    return [
        f"{one.benchmark}: {one.num_failed:,} of {one.num_edits:,} edits have no judgement, more "
        f"than the allowed share of {gate.max_unparsable_share:g}"
        for one in candidate
        if one.failed_share > gate.max_unparsable_share
    ]


def beside_champion(
    gate: JudgeGate,
    candidate: Sequence[BenchmarkEvidence],
    champion: Sequence[BenchmarkEvidence],
) -> list[Beside]:
    """Compare two reports by their values alone.

    Args:
        gate: names the main benchmark, and the gain required there.
        candidate: of the judge to promote.
        champion: of the current champion.
    """
    mine = {one.benchmark: one for one in candidate}
    theirs = {one.benchmark: one for one in champion}
    rows: list[Beside] = []
    for name in dict.fromkeys((gate.main_benchmark, *theirs)):
        if name not in mine or name not in theirs:
            whose = "the candidate" if name not in mine else "the champion"
            why = f"{name}: {whose} was not measured on it; `spatialreward evaluate` does that"
            rows.append(Beside(name, "", None, None, why))
        elif mine[name].digest != theirs[name].digest:
            why = (
                f"{name}: the candidate was measured on version {mine[name].digest[:12]} of it, "
                f"the champion on {theirs[name].digest[:12]}; measure both on one with "
                "`spatialreward evaluate`"
            )
            rows.append(Beside(name, "", None, None, why))
        else:
            rows += _figures(gate, mine[name], theirs[name])
    return rows


def _figures(
    gate: JudgeGate, mine: BenchmarkEvidence, theirs: BenchmarkEvidence
) -> Iterator[Beside]:
    for number, (figure, values) in enumerate(theirs.figures.items()):
        where = f"{mine.benchmark}: {figure}"
        if figure not in mine.figures:
            yield Beside(mine.benchmark, figure, None, None, f"{where} was not measured")
            continue
        try:
            paired = compare(values.as_values(), mine.figures[figure].as_values())
        except ValueError as error:
            raise InvalidInputError(f"{where}: {error}") from error
        decides = number == 0 and mine.benchmark == gate.main_benchmark
        why = _complaint(gate, paired.difference, paired.interval, decides=decides)
        complaint = f"{where} {why}" if why else ""
        yield Beside(mine.benchmark, figure, paired.difference, paired.interval, complaint)


def _complaint(
    gate: JudgeGate, difference: float, interval: Interval | None, *, decides: bool
) -> str:
    # A single prompt has no interval: then any loss counts, and no gain.
    low, high = interval or (min(difference, 0.0), difference)
    result = f"is {difference:+.4f} beside the champion's (95 %: {low:+.4f} .. {high:+.4f})"
    if high < 0:
        return f"{result}, worse beyond noise"
    if decides and low <= gate.gain_ci95_low_above:
        return f"{result}, not above {gate.gain_ci95_low_above:+g} beyond noise"
    return ""
