"""Whether a judge is good enough to be served."""

from spatialreward.errors import SpatialRewardError
from spatialreward.evaluation.config import JudgeGate
from spatialreward.evaluation.judge import JudgeFigures


class GateError(SpatialRewardError, ValueError):
    """A model fell short of its gate; the message names each figure and by how much."""


def check_gate(gate: JudgeGate, figures: JudgeFigures) -> None:
    """Let a judge pass that reaches every figure.

    Raises:
        GateError: it does not; the message names each figure that falls short, and by how much.
    """
    least = {
        "pairwise_accuracy": gate.min_pairwise_accuracy,
        "mean_iou": gate.min_mean_iou,
    }
    most = {"unparsable_share": gate.max_unparsable_share}
    short = [
        f"{name} is {getattr(figures, name):.4f}, {bound - getattr(figures, name):.4f} below the "
        f"least allowed {bound:g}"
        for name, bound in least.items()
        if not getattr(figures, name) >= bound
    ]
    short += [
        f"{name} is {getattr(figures, name):.4f}, {getattr(figures, name) - bound:.4f} above the "
        f"most allowed {bound:g}"
        for name, bound in most.items()
        if not getattr(figures, name) <= bound
    ]
    if short:
        raise GateError(f"the judge does not pass its gate: {'; '.join(short)}")
