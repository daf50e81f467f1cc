"""What a version's tags say about it, and two versions side by side."""

import math
from collections.abc import Mapping
from typing import NamedTuple

from spatialreward.evaluation.gate import Bound, Gate, bounds_of
from spatialreward.promotion import tags as names
from spatialreward.registry import (
    ARTIFACT_TAG,
    CHAMPION,
    CHECKSUM_TAG,
    ModelVersion,
    aliases_of,
    model_tags,
)

_NO_FIGURES = names.OURS | {CHECKSUM_TAG, ARTIFACT_TAG}
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
    facts: Mapping[str, tuple[str, str]]
    """Other tags worth a look, the champion's and the candidate's, by name."""
    aliases: Mapping[str, ModelVersion]
    """As they were when this was read."""


def figures_in(tags: Mapping[str, str]) -> dict[str, float]:
    """The figures among a version's tags."""
    found = {}
    for name, value in tags.items():
        if name in _NO_FIGURES:
            continue
        try:
            number = float(value)
        except ValueError:
            continue
        if math.isfinite(number):
            found[name] = number
    return found


def compare(name: str, version: int, gate: Gate) -> Comparison:
    """Put a version beside the champion, figure by figure.

    Raises:
        TrackingError: the registry does not answer, or has no such version.
    """
    candidate = ModelVersion(name, version)
    tags = model_tags(candidate.uri)
    aliases = aliases_of(name)
    champion = aliases.get(CHAMPION)
    others = model_tags(champion.uri) if champion else {}
    theirs, mine = figures_in(others), figures_in(tags)
    bounds = {bound.figure: bound for bound in bounds_of(gate)}
    figures = dict.fromkeys([*bounds, *mine, *theirs])
    return Comparison(
        candidate,
        champion,
        tuple(Row(one, theirs.get(one), mine.get(one), bounds.get(one)) for one in figures),
        {
            fact: (others.get(fact, ""), tags.get(fact, ""))
            for fact in _FACTS
            if fact in others or fact in tags
        },
        aliases,
    )
