"""Whether a judge or an editor is good enough to become champion."""

from collections.abc import Mapping
from enum import StrEnum
from typing import NamedTuple

from spatialreward.errors import SpatialRewardError
from spatialreward.evaluation.config import EditorGate, JudgeGate

Gate = JudgeGate | EditorGate


class GateError(SpatialRewardError, ValueError):
    """A model fell short of its gate; the message names each figure and by how much."""


class Side(StrEnum):
    """On which side of its limit a figure has to lie."""

    AT_LEAST = "at least"
    AT_MOST = "at most"
    ABOVE = "above"


class Bound(NamedTuple):
    """What one figure must reach."""

    figure: str
    side: Side
    limit: float

    def holds(self, value: float) -> bool:
        """Whether a value will do; what is no number never does."""
        match self.side:
            case Side.AT_LEAST:
                return value >= self.limit
            case Side.AT_MOST:
                return value <= self.limit
            case Side.ABOVE:
                return value > self.limit

    def complaint(self, value: float) -> str:
        """How a value falls short."""
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
    """What a gate asks for, figure by figure."""
    match gate:
        case JudgeGate():
            return (
                Bound("pairwise_accuracy", Side.AT_LEAST, gate.min_pairwise_accuracy),
                Bound("mean_iou", Side.AT_LEAST, gate.min_mean_iou),
                Bound("unparsable_share", Side.AT_MOST, gate.max_unparsable_share),
            )
        case EditorGate():
            return (Bound("gain_ci95_low", Side.ABOVE, gate.gain_ci95_low_above),)


def check_gate(gate: Gate, figures: Mapping[str, float]) -> None:
    """Let a model pass that reaches every figure.

    Args:
        gate: of a judge or an editor.
        figures: what was measured, by name; more than the gate asks for is fine.

    Raises:
        GateError: it does not pass; the message names each figure that falls short, and by how
            much, or that was never measured.
    """
    short = []
    for bound in bounds_of(gate):
        value = figures.get(bound.figure)
        if value is None:
            short.append(f"{bound.figure} was not measured")
        elif not bound.holds(value):
            short.append(bound.complaint(value))
    if short:
        whose = "judge" if isinstance(gate, JudgeGate) else "editor"
        raise GateError(f"the {whose} does not pass its gate: {'; '.join(short)}")
