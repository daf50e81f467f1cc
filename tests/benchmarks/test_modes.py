import pytest

from spatialreward.benchmarks.modes import Timed, mode_figures, time_modes
from spatialreward.errors import Failure, InvalidInputError
from spatialreward.records import Judgement, JudgementStatus, JudgeMode, Scores


def judged(*successes):
    """Judgements of whose reward and scores one alone differs."""
    return [
        Judgement(
            status=JudgementStatus.OK,
            scores=Scores(editing_success=score, over_editing=25),
            reward=score / 25,
        )
        for score in successes
    ]


def figures(head, written, labels=()):
    timed = {
        JudgeMode.REASON: Timed(written, [4.0, 8.0, 2.0]),
        JudgeMode.SCALAR: Timed(head, [0.2, 0.5, 0.1]),
    }
    known = labels or [None] * len(written)
    return {one.name: one for one in mode_figures(timed, known)}


def test_speed_is_the_median_of_rounds_and_tau_that_of_the_rewards():
    found = figures(judged(1, 2, 3, 4), judged(1, 2, 4, 3))
    assert found["modes/times_as_fast"].value == 20
    assert found["modes/times_as_fast"].reached
    assert found["modes/judgements_per_s"].value == 20
    assert found["modes/judgements_per_s"].baseline == 1
    # One pair of six is the other way round.
    assert found["tau/reward"].value == pytest.approx(4 / 6)
    assert found["tau/editing_success"].value == pytest.approx(4 / 6)
    assert "tau/over_editing" not in found
    assert "tau_with_labels/reward" not in found


def test_labels_say_which_mode_is_nearer_the_truth():
    labels = judged(1, 2, 3, 4)
    found = figures(judged(1, 2, 3, 4), judged(4, 3, 2, 1), labels)["tau_with_labels/reward"]
    assert (found.value, found.baseline) == (pytest.approx(1), pytest.approx(-1))


def test_what_a_mode_failed_on_is_counted_and_not_compared():
    failed = Judgement.failed("cut off", Failure.CUT_OFF)
    found = figures(judged(1, 2, 3), [*judged(1, 2), failed])
    assert (found["modes/failed"].value, found["modes/failed"].baseline) == (
        0,
        pytest.approx(1 / 3),
    )
    assert found["tau/reward"].value == pytest.approx(1)


def test_one_edit_alone_cannot_be_ordered():
    with pytest.raises(InvalidInputError, match="edits: expected 2 or more to compare two modes"):
        time_modes({}, [], 1)
