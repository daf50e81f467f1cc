import numpy as np
import pytest

from spatialreward.benchmarks.calibration import (
    REWARD,
    WIN_PROBABILITY,
    calibrations,
    expected_error,
)
from spatialreward.benchmarks.interface import Candidate, Item
from spatialreward.errors import Failure
from spatialreward.records import Judgement
from tests.benchmarks.folders import judged

FAILED = Judgement.failed("no answer", Failure.NOT_JSON)


def item(number, dimension=""):
    name = f"task-{number}"
    candidates = tuple(Candidate(f"{name}/{place}", str(place), None) for place in range(2))
    return Item(name, name, "add a dog", (), candidates, (0, 1), {"dimension": dimension})


def rewarded(reward):
    return judged(9).model_copy(update={"reward": reward})


def test_the_error_is_the_mean_gap_of_the_bins():
    predicted, true = np.array([0.1, 0.12, 0.9, 0.95]), np.array([0.1, 0.12, 0.5, 0.5])
    found = expected_error("reward", predicted, true, 0.0)
    # Half of the edits lie in a bin that is off by 0.425.
    assert found.error == pytest.approx(0.5 * 0.425)
    assert [one.num for one in found.bins] == [2, 2]


def test_a_judge_that_is_always_right_and_sure_is_calibrated():
    items = [item(number) for number in range(8)]
    sure = {one.candidates[place].key: rewarded(1.0 - place) for one in items for place in (0, 1)}
    [found] = calibrations(items, sure, {})
    assert (found.of, found.num) == (WIN_PROBABILITY, 8)
    assert found.error == pytest.approx(0.0, abs=1e-6)


def test_a_tie_says_even_and_is_even():
    items = [item(number) for number in range(4)]
    [found] = calibrations(
        items, {one.key: rewarded(0.5) for each in items for one in each.candidates}, {}
    )
    assert found.error == pytest.approx(0.0)
    assert [(one.predicted, one.true) for one in found.bins] == [(0.5, 0.5)]


def test_edits_without_a_judgement_have_no_part():
    items = [item(number) for number in range(4)]
    judgements = {one.key: rewarded(0.5) for each in items for one in each.candidates}
    judgements["task-0/0"] = FAILED
    [found] = calibrations(items, judgements, {})
    assert found.num == 3
    assert calibrations(items, {}, {}) == ()


def test_rows_about_one_dimension_say_nothing_of_the_reward():
    items = [item(number, "consistency") for number in range(4)]
    judgements = {one.key: rewarded(0.5) for each in items for one in each.candidates}
    assert calibrations(items, judgements, {}) == ()


def test_rewards_are_held_against_true_ones_where_they_are_known():
    items = [item(number) for number in range(2)]
    truths = {one.key: rewarded(0.8) for each in items for one in each.candidates}
    judgements = {key: rewarded(0.6) for key in truths}
    [found] = calibrations(items, judgements, truths)
    # Edits that are equally good make no pair.
    assert found.of == REWARD
    assert found.error == pytest.approx(0.2)
