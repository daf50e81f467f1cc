"""What evaluations say about two versions, side by side."""

import logging
from collections.abc import Mapping
from typing import NamedTuple

from spatialreward.benchmarks.config import JudgeGate
from spatialreward.benchmarks.evidence import Beside, beside_champion
from spatialreward.benchmarks.gate import Bound, Gate, bounds_of
from spatialreward.benchmarks.report import EvaluationReport, ReportError
from spatialreward.ops.promotion import tags as names
from spatialreward.ops.registry import (
    CHAMPION,
    ModelVersion,
    Registered,
    aliases_of,
    look_up,
    report_of,
)

logger = logging.getLogger(__name__)

_FACTS = (
    names.GATE,
    names.SERVING,
    names.PROMOTED_AT,
    names.PROMOTED_BY,
    names.PROMOTED_REASON,
    names.DEMOTED_REASON,
)


class Row(NamedTuple):
    """One figure of two versions."""

    figure: str
    champion: float | None
    candidate: float | None
    bound: Bound | None
    """What the gate asks for; None: nothing."""

    @property
    def difference(self) -> float | None:
        """The candidate's figure less the champion's; None where one of them has none."""
        if self.champion is None or self.candidate is None:
            return None
        return self.candidate - self.champion

    @property
    def passes(self) -> bool | None:
        """Whether the candidate reaches the bound; None where there is none."""
        if self.bound is None:
            return None
        return self.candidate is not None and self.bound.holds(self.candidate)


class Comparison(NamedTuple):
    """A candidate beside the champion."""

    candidate: ModelVersion
    champion: ModelVersion | None
    rows: tuple[Row, ...]
    beside: tuple[Beside, ...]
    """The candidate beside the champion on benchmarks, by the values of both reports."""
    facts: Mapping[str, tuple[str, str]]
    """Other tags worth a look, the champion's and the candidate's, by name."""
    aliases: Mapping[str, ModelVersion]
    """As they were when this was read."""


def compare(name: str, version: int, gate: Gate) -> Comparison:
    """Put a version beside the champion, figure by figure.

    Raises:
        TrackingError: the registry does not answer, or has no such version.
        ReportError: the version has no evaluation report that can be believed; of the champion,
            no figures are shown then.
        StorageError: the object store does not answer.
    """
    found = look_up(ModelVersion(name, version).uri)
    candidate, tags = found.model, found.tags
    mine = report_of(found)
    aliases = aliases_of(name)
    champion = aliases.get(CHAMPION)
    theirs: EvaluationReport | None = None
    others: Mapping[str, str] = {}
    if champion:
        present = look_up(champion.uri)
        others, theirs = present.tags, _report_if_believed(present)
    bounds = {bound.figure: bound for bound in bounds_of(gate)}
    figures = dict.fromkeys([*bounds, *mine.figures, *(theirs.figures if theirs else ())])
    return Comparison(
        candidate,
        champion,
        tuple(
            Row(one, theirs.figure(one) if theirs else None, mine.figure(one), bounds.get(one))
            for one in figures
        ),
        _beside(gate, mine, theirs if champion != candidate else None),
        {
            fact: (others.get(fact, ""), tags.get(fact, ""))
            for fact in _FACTS
            if fact in others or fact in tags
        },
        aliases,
    )


def _beside(
    gate: Gate, mine: EvaluationReport, theirs: EvaluationReport | None
) -> tuple[Beside, ...]:
    if theirs is None or not isinstance(gate, JudgeGate):
        return ()
    return tuple(beside_champion(gate, mine.benchmarks, theirs.benchmarks))


def _report_if_believed(found: Registered) -> EvaluationReport | None:
    try:
        return report_of(found)
    except ReportError as error:
        logger.warning("no figures of the champion: %s", error)
        return None
