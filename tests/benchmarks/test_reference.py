"""The published arithmetic, against numbers by hand and by running the published scripts."""

import math

import pytest

from spatialreward.benchmarks.reference import (
    FourScores,
    four_scores,
    order_metrics,
    predicted_order,
)
from spatialreward.errors import Failure
from tests.benchmarks.folders import failed, judged


def test_the_true_order_is_exact():
    assert order_metrics([0, 1, 2], [3.0, 2.0, 1.0]) == (True, 1.0, 1.0, 1.0, 1, 1, 0.0, "")


def test_a_tie_anywhere_takes_the_exact_match_and_nothing_else():
    metrics = order_metrics(predicted_order([5.0, 5.0]), [5.0, 5.0])
    assert metrics == (False, 1.0, 1.0, 1.0, 1, 1, 0.0, "mixed")


def test_without_scores_ties_cannot_be_seen():
    assert order_metrics([0, 1]).exact


def test_equal_scores_stay_in_the_true_order():
    assert predicted_order([1.0, 2.0, 2.0, 3.0]) == [3, 1, 2, 0]


def test_the_ndcg_is_that_of_the_inverse_order():
    # Candidate 1 is first, so its gain is 2; the published script takes it for place 1.
    ideal = 3 + 2 / math.log2(3) + 1 / 2
    wrong = 3 / math.log2(3) + 2 / 2 + 1 / 1
    assert order_metrics([1, 2, 0]).ndcg == pytest.approx(wrong / ideal)
    assert order_metrics([1, 2, 0]).ndcg == pytest.approx(0.8175, abs=5e-5)


def test_correlations_of_one_swap_of_three():
    metrics = order_metrics([1, 0, 2])
    assert metrics.kendall == pytest.approx(1 / 3)
    assert metrics.spearman == 0.5
    assert metrics.position_error == pytest.approx(2 / 3)
    assert (metrics.top1, metrics.top2) == (0, 1)


def test_of_two_the_first_two_are_always_right():
    assert order_metrics([1, 0]).top2 == 1


def test_a_single_candidate_has_no_correlation():
    metrics = order_metrics([0])
    assert (metrics.kendall, metrics.spearman, metrics.top2) == (0, 0, 0)


@pytest.mark.parametrize(
    ("order", "kind"),
    [
        ([1, 0], "full_reverse"),
        ([2, 1, 0], "full_reverse"),
        # Of the first two places both are off by one; the last is not looked at.
        ([1, 2, 0], "adjacent_swap"),
        ([1, 0, 3, 2], "adjacent_swap"),
        ([2, 0, 1], "top_confused"),
        ([0, 2, 1], "bottom_confused"),
        ([0, 2, 1, 3], "mixed"),
    ],
)
def test_the_first_kind_of_error_that_fits_is_reported(order, kind):
    assert order_metrics(order).error_type == kind


def test_the_weighted_form_by_hand():
    # SC = 0.6 * 8 + 0.4 * 4 = 6.4, PQ = 0.5 * 10 + 0.5 * 6 = 8.
    assert FourScores(20, 10, 25, 15).weighted() == pytest.approx(6.4**0.8 * 8**0.2)


def test_the_min_form_by_hand():
    assert FourScores(20, 10, 25, 15).lower() == pytest.approx(math.sqrt(4 * 6))


def test_a_failed_answer_is_in_the_middle_and_a_missing_one_is_missing():
    assert four_scores(failed()) == (12.5, 12.5, 12.5, 12.5)
    assert four_scores(failed()).weighted() == pytest.approx(5.0)
    assert four_scores(judged(1, 2, 3, 4)) == (1, 2, 3, 4)
    assert four_scores(None) is None
    assert four_scores(failed(Failure.BAD_INPUT)) is None
