import pytest

from spatialreward.benchmarks.config import EditorGate, JudgeGate
from spatialreward.benchmarks.gate import RANGES, GateError, check_gate, outside_range
from spatialreward.benchmarks.judge import JudgeFigures
from spatialreward.errors import Failure
from spatialreward.records import Mending
from spatialreward.world.editor_evaluation import EditorFigures

GOOD = {"pairwise_accuracy": 0.85, "mean_iou": 0.65, "unparsable_share": 0.01, "reward_mae": 0.1}


def test_a_judge_that_reaches_every_figure_passes():
    check_gate(JudgeGate(), GOOD)


def test_each_short_figure_is_named_with_how_much_it_lacks():
    short = GOOD | {"pairwise_accuracy": 0.8, "unparsable_share": 0.5}
    with pytest.raises(GateError) as caught:
        check_gate(JudgeGate(), short)
    assert "pairwise_accuracy is 0.8000, 0.0500 below the least allowed 0.85" in str(caught.value)
    assert "unparsable_share is 0.5000, 0.4900 above the most allowed 0.01" in str(caught.value)
    assert "mean_iou" not in str(caught.value)


def test_what_is_no_number_or_was_not_measured_does_not_pass():
    with pytest.raises(GateError, match="mean_iou is nan"):
        check_gate(JudgeGate(), GOOD | {"mean_iou": float("nan")})
    with pytest.raises(GateError, match="the judge does not pass its gate: mean_iou was not mea"):
        check_gate(JudgeGate(), {name: GOOD[name] for name in GOOD if name != "mean_iou"})


def test_an_editor_passes_whose_gain_is_no_chance():
    check_gate(EditorGate(), {"gain_ci95_low": 0.0001})
    with pytest.raises(GateError, match=r"the editor .* gain_ci95_low is 0\.0000, not above 0"):
        check_gate(EditorGate(), {"gain_ci95_low": 0.0})


def test_a_figure_outside_its_range_does_not_pass():
    with pytest.raises(GateError) as caught:
        check_gate(
            JudgeGate(), {"pairwise_accuracy": 61.0, "mean_iou": 70.0, "unparsable_share": -1.0}
        )
    assert str(caught.value) == (
        "the judge does not pass its gate: pairwise_accuracy is 61, not in 0..1; "
        "mean_iou is 70, not in 0..1; unparsable_share is -1, not in 0..1"
    )
    with pytest.raises(GateError, match=r"gain_ci95_low is 5, not in -1\.\.1"):
        check_gate(EditorGate(), {"gain_ci95_low": 5.0})


def test_every_figure_has_a_range_and_its_ends_belong_to_it():
    by_name = {"failed_share", "mended_edits"}
    judge = {*JudgeFigures._fields} - by_name
    judge |= {f"failed_share/{reason}" for reason in Failure}
    judge |= {f"mended_edits/{mending}" for mending in Mending}
    assert set(RANGES) == judge | {*EditorFigures._fields}
    assert [outside_range("gain", value) for value in (-1, 0, 1)] == ["", "", ""]
    assert outside_range("gain", float("inf")) == "gain is inf, not in -1..1"


def test_a_judge_that_predicts_no_regions_passes_a_gate_that_asks_for_none():
    figures = {name: value for name, value in GOOD.items() if name != "mean_iou"}
    check_gate(JudgeGate(min_mean_iou=0), figures)
    message = "mean_iou was not measured: the judge predicts no regions; min_mean_iou = 0 asks for"
    with pytest.raises(GateError, match=message):
        check_gate(JudgeGate(), figures)
