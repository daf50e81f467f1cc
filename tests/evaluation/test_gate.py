import pytest

from spatialreward.evaluation.config import JudgeGate
from spatialreward.evaluation.gate import GateError, check_gate
from spatialreward.evaluation.judge import JudgeFigures

GOOD = JudgeFigures(
    pairwise_accuracy=0.85,
    mean_iou=0.65,
    unparsable_share=0.01,
    reward_spearman=0.9,
    reward_mae=0.1,
)


def test_a_judge_that_reaches_every_figure_passes():
    check_gate(JudgeGate(), GOOD)


def test_each_short_figure_is_named_with_how_much_it_lacks():
    short = GOOD._replace(pairwise_accuracy=0.8, unparsable_share=0.5)
    with pytest.raises(GateError) as caught:
        check_gate(JudgeGate(), short)
    assert "pairwise_accuracy is 0.8000, 0.0500 below the least allowed 0.85" in str(caught.value)
    assert "unparsable_share is 0.5000, 0.4900 above the most allowed 0.01" in str(caught.value)
    assert "mean_iou" not in str(caught.value)


def test_what_is_no_number_does_not_pass():
    with pytest.raises(GateError, match="mean_iou"):
        check_gate(JudgeGate(), GOOD._replace(mean_iou=float("nan")))
