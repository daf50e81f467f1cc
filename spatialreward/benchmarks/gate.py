"""Gates for promoting a judge or an editor to champion."""

import math
from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import NamedTuple

from spatialreward.benchmarks.config import EditorGate, JudgeGate
from spatialreward.errors import Failure, SpatialRewardError
from spatialreward.records import Mending

Gate = JudgeGate | EditorGate


class GateError(SpatialRewardError, ValueError):
    """A model failed its gate; the message names each figure and its shortfall."""


class Range(NamedTuple):
    """Valid range of a figure."""

    low: float
    high: float

    def __contains__(self, value: object) -> bool:
        """Whether a value is valid."""
        return isinstance(value, int | float) and self.low <= value <= self.high

    def __str__(self) -> str:
        """Both ends, such as ``0..1``."""
        return f"{self.low:g}..{self.high:g}"


_MEAN_IOU = "mean_iou"
_WHY_ABSENT = {_MEAN_IOU: ": the judge predicts no regions; min_mean_iou = 0 asks for none"}
_SHARE, _DIFFERENCE, _COUNT = Range(0, 1), Range(-1, 1), Range(0, math.inf)
RANGES: Mapping[str, Range] = {
    "pairwise_accuracy": _SHARE,
    "pairwise_within_accuracy": _SHARE,
    "pairwise_across_accuracy": _SHARE,
    _MEAN_IOU: _SHARE,
    "unparsable_share": _SHARE,
    "reward_spearman": _DIFFERENCE,
    "reward_mae": _SHARE,
    **{f"failed_share/{reason}": _SHARE for reason in Failure},
    **{f"mended_edits/{mending}": _COUNT for mending in Mending},
    "num_edits": _COUNT,
    "oracle_reward_before": _SHARE,
    "oracle_reward_after": _SHARE,
    "gain": _DIFFERENCE,
    "gain_ci95_low": _DIFFERENCE,
    "gain_ci95_high": _DIFFERENCE,
    "served_reward_before": _SHARE,
    "served_reward_after": _SHARE,
}
"""For every figure of an evaluation; excludes percentages, for example."""


def outside_range(figure: str, value: float) -> str:
    """Why a value is invalid for the figure; empty if valid."""
    return "" if value in RANGES[figure] else f"{figure} is {value:g}, not in {RANGES[figure]}"


class Side(StrEnum):
    """The side of its limit on which a figure must lie."""

    AT_LEAST = "at least"
    AT_MOST = "at most"
    ABOVE = "above"


class Bound(NamedTuple):
    """Requirement on one figure."""

    figure: str
    side: Side
    limit: float

    def holds(self, value: float) -> bool:
        """Whether a value passes; NaN and values outside the range never do."""
        if value not in RANGES[self.figure]:
            return False
        match self.side:
            case Side.AT_LEAST:
                return value >= self.limit
            case Side.AT_MOST:
                return value <= self.limit
            case Side.ABOVE:
                return value > self.limit

    def complaint(self, value: float) -> str:
        """Description of a shortfall."""
        if outside := outside_range(self.figure, value):
            return outside
        match self.side:
            case Side.AT_LEAST:
                lack = f"{self.limit - value:.4f} below the least allowed {self.limit:g}"
            case Side.AT_MOST:
                lack = f"{value - self.limit:.4f} above the most allowed {self.limit:g}"
            case Side.ABOVE:
                lack = f"not above {self.limit:g}"
        return f"{self.figure} is {value:.4f}, {lack}"

    def __str__(self) -> str:
        """The bound without the figure's name, such as ``at least 0.85``."""
        return f"{self.side} {self.limit:g}"


def bounds_of(gate: Gate) -> tuple[Bound, ...]:
    """A gate's requirements, by figure."""
    match gate:
        case JudgeGate():
            iou = Bound(_MEAN_IOU, Side.AT_LEAST, gate.min_mean_iou)
            return (
                Bound("pairwise_accuracy", Side.AT_LEAST, gate.min_pairwise_accuracy),
                *((iou,) if gate.min_mean_iou else ()),
                Bound("unparsable_share", Side.AT_MOST, gate.max_unparsable_share),
            )
        case EditorGate():
            return (Bound("gain_ci95_low", Side.ABOVE, gate.gain_ci95_low_above),)


def check_gate(gate: Gate, figures: Mapping[str, float], complaints: Sequence[str] = ()) -> None:
    """Check a model's figures against its gate.

    Args:
        gate: of a judge or an editor.
        figures: the measured ones, by name; may include others.
        complaints: further objections, such as from the comparison with the champion.

    Raises:
        GateError: it fails; the message names each figure that falls short and by how much, is
            outside its range or missing, and the complaints.
    """
    short = []
    for bound in bounds_of(gate):
        value = figures.get(bound.figure)
        if value is None:
            short.append(f"{bound.figure} was not measured{_WHY_ABSENT.get(bound.figure, '')}")
        elif not bound.holds(value):
            short.append(bound.complaint(value))
    short += complaints
    if short:
        whose = "judge" if isinstance(gate, JudgeGate) else "editor"
        raise GateError(f"the {whose} does not pass its gate: {'; '.join(short)}")
