import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spatialreward.benchmarks.gate import outside_range
from spatialreward.benchmarks.judge import (
    judge_figures,
    mean_reward_by_grade,
    pairwise_accuracy,
    pairwise_by_task,
    problem_with,
)
from spatialreward.data.edits import RowOrigin
from spatialreward.data.regions.overlap import matched_iou
from spatialreward.data.tasks import edit_to_judge
from spatialreward.errors import Failure, InvalidInputError
from spatialreward.judges.pixels import PixelDifference
from spatialreward.records import AnswerForm, EditRegion, Judgement, Mending, Scores
from spatialreward.world.building import labelled_edit
from spatialreward.world.config import DataConfig
from spatialreward.world.drawing import draw_samples
from tests.data.packing.making import label_of

FAILED = Judgement.failed("no answer", Failure.NOT_JSON)


def region(*box, number=0):
    return EditRegion(id=number, label="thing", bbox_2d=box)


def edits(count, **settings):
    drawn = draw_samples(DataConfig(seed=5, **settings), "heldout", count)
    return [labelled_edit(sample, RowOrigin(file="test", row="")) for sample in drawn]


def labels(count):
    return [one.label for one in edits(count)]


def test_pairs_closer_than_the_limit_are_not_compared():
    # 0.50 and 0.52 are too close; of the pairs with 0.9 one is right and one is a tie.
    truth = np.array([0.50, 0.52, 0.9])
    assert pairwise_accuracy(truth, np.array([0.1, 0.7, 0.7])) == 0.5


def test_a_difference_of_exactly_the_limit_is_compared():
    assert pairwise_accuracy(np.array([0.30, 0.35]), np.array([0.1, 0.2])) == 1.0


def test_a_missing_reward_makes_its_pairs_wrong():
    truth = np.array([0.0, 0.5, 1.0])
    assert pairwise_accuracy(truth, np.array([0.0, math.nan, 1.0])) == pytest.approx(1 / 3)


def test_rewards_that_are_all_alike_cannot_be_ordered():
    with pytest.raises(InvalidInputError, match=r"no two edits .* differ by 0\.05"):
        pairwise_accuracy(np.array([0.5, 0.5]), np.array([0.1, 0.2]))


@given(st.lists(st.floats(0, 1), min_size=2, max_size=12))
def test_the_truth_orders_every_pair_and_its_opposite_none(values):
    truth = np.array([*values, 0.0, 1.0])
    assert pairwise_accuracy(truth, truth) == 1.0
    assert pairwise_accuracy(truth, -truth) == 0.0


def test_pairs_of_one_task_and_of_two_are_distinguished():
    truth = np.array([0.1, 0.9, 0.1, 0.9])
    rewards = np.array([0.2, 0.1, 0.3, 0.4])
    # Within: (0, 1) is wrong and (2, 3) right. Across: (0, 3) is right and (1, 2) wrong.
    assert pairwise_by_task(truth, rewards, ["a", "a", "b", "b"]) == (0.5, 0.5)
    # Within: (0, 3) is right and (1, 2) wrong. Across: (0, 1) is wrong and (2, 3) right.
    assert pairwise_by_task(truth, rewards, ["a", "b", "b", "a"]) == (0.5, 0.5)
    # Within: (0, 1), (0, 3) and (1, 3), which is too close. Across: (1, 2) and (2, 3).
    assert pairwise_by_task(truth, rewards, ["a", "a", "b", "a"]) == (0.5, 0.5)
    assert pairwise_by_task(truth, np.array([0.2, 0.3, 0.9, 0.4]), ["a", "a", "b", "a"]) == (1, 0)


def test_a_figure_without_a_pair_is_not_measured():
    truths = labels(12)
    apart, together = (judge_figures(truths, truths, tasks) for tasks in (range(12), [0] * 12))
    assert "pairwise_within_accuracy" not in apart.measured()
    assert apart.measured()["pairwise_across_accuracy"] == 1.0
    assert "pairwise_across_accuracy" not in together.measured()
    assert together.measured()["pairwise_within_accuracy"] == 1.0


def test_regions_are_matched_one_to_one_in_any_order():
    left, right = (0, 0, 100, 100), (500, 500, 600, 600)
    truth = [region(*left), region(*right, number=1)]
    assert matched_iou(truth, [region(*right), region(*left, number=1)]) == 1.0


def test_missing_and_superfluous_regions_cost():
    one, other = region(0, 0, 100, 100), region(500, 500, 600, 600, number=1)
    assert matched_iou([one, other], [one]) == 0.5
    assert matched_iou([one], [one, other]) == 0.5
    assert matched_iou([one], []) == matched_iou([], [one]) == 0.0
    assert matched_iou([], []) == 1.0


def test_the_truth_judged_by_itself_is_perfect():
    truths = labels(40)
    figures = judge_figures(truths, truths, range(40))
    assert figures.pairwise_accuracy == figures.mean_iou == 1.0
    assert figures.reward_spearman == pytest.approx(1.0)
    assert figures.unparsable_share == figures.reward_mae == 0.0


def test_a_judge_that_never_answers_has_the_worst_figures():
    truths = labels(20)
    figures = judge_figures(truths, [FAILED] * 20, range(20))
    assert figures.pairwise_accuracy == figures.mean_iou == figures.reward_spearman == 0.0
    assert figures.unparsable_share == figures.reward_mae == 1.0


def test_failures_are_reported_by_reason_and_mendings_are_counted():
    truths = labels(20)
    cut_off = Judgement.failed("longer than 208 tokens", Failure.CUT_OFF)
    mended = truths[3].model_copy(update={"mended": (Mending.THOUGHT, Mending.TRAILING_COMMA)})
    fenced = truths[4].model_copy(update={"mended": (Mending.THOUGHT,)})
    figures = judge_figures(
        truths, [FAILED, cut_off, cut_off, mended, fenced, *truths[5:]], [0] * 20
    )
    assert figures.failed_share[Failure.CUT_OFF] == 0.1
    assert figures.failed_share[Failure.NO_ANSWER] == 0.0
    assert sum(figures.failed_share.values()) == pytest.approx(figures.unparsable_share)
    named = {name: value for name, value in figures.measured().items() if "/" in name}
    assert named == {
        "failed_share/cut_off": 0.1,
        "failed_share/not_json": 0.05,
        "mended_edits/thought": 2,
        "mended_edits/trailing_comma": 1,
    }
    assert figures.measured()["num_edits"] == 20


def test_every_figure_by_reason_is_one_of_a_report():
    truths = labels(21)
    failed = [Judgement.failed("why", reason) for reason in Failure]
    mended = truths[len(failed)].model_copy(update={"mended": tuple(Mending)})
    judgements = [*failed, mended, *truths[len(failed) + 1 :]]
    figures = judge_figures(truths, judgements, range(21)).measured()
    assert sum("/" in name for name in figures) == len(Failure) + len(Mending)
    assert not [name for name, value in figures.items() if outside_range(name, value)]


def test_pixel_differences_find_where_a_clean_edit_happened():
    drawn = edits(60, artifact_share=0.0)
    judgements = PixelDifference().judge([edit_to_judge(one) for one in drawn])
    figures = judge_figures([one.label for one in drawn], judgements, range(60))
    assert figures.mean_iou > 0.6
    assert figures.unparsable_share == 0.0


def test_mean_rewards_by_grade_leave_failures_out():
    drawn = edits(30)
    truths, grades = [one.label for one in drawn], [one.given["grade"] for one in drawn]
    with_failure = [FAILED, *truths[1:]]
    pairs = zip(grades[1:], truths[1:], strict=True)
    expected = [truth.reward for grade, truth in pairs if grade == "right"]
    assert mean_reward_by_grade(grades, with_failure)["right"] == pytest.approx(np.mean(expected))


def test_edits_without_a_grade_have_no_mean_reward():
    [truth] = labels(1)
    assert mean_reward_by_grade([""], [truth]) == {}


@pytest.mark.parametrize(
    ("label", "problem"),
    [
        (None, "has no label"),
        (label_of(Scores(naturalness=1, artifact_freedom=2)), "label: has no SC scores"),
        (label_of(Scores(editing_success=1, over_editing=2)), "label: has no PQ scores"),
    ],
)
def test_a_label_has_both_streams(label, problem):
    assert problem_with(label) == problem


@pytest.mark.parametrize("form", [AnswerForm.REASONING, AnswerForm.SCORES])
def test_a_judge_that_predicts_no_regions_has_no_iou(form):
    truths = [edit.label for edit in edits(6)]
    found = {"answer": form, "regions": ()}
    judgements = [one.model_copy(update=found) for one in truths]
    figures = judge_figures(truths, judgements, range(6)).measured()
    assert "mean_iou" not in figures
    assert figures["pairwise_accuracy"] == 1.0
    # A server's own failures do not know the form.
    assert "mean_iou" not in judge_figures(truths, [FAILED, *judgements[1:]], range(6)).measured()
