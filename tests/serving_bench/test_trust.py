import subprocess

import pytest

from serving.bench.trust import Effort, Measured, figures_of, train_together
from spatialreward.benchmarks.judge import judge_figures
from spatialreward.benchmarks.trust import Attacked, Trust
from spatialreward.records import Scores
from tests.data.packing.making import label_of


def measured(change, wrong):
    """A judge that an attack moves so far, and that takes so many of three edits for bad ones."""
    attacked = Attacked("plea", change, None, 0.0, 0.0, 0.0, first=None)
    good = label_of(Scores(naturalness=25, artifact_freedom=25))
    bad = label_of(Scores(naturalness=5, artifact_freedom=5))
    said = [bad] * wrong + [good] * (3 - wrong)
    judge = judge_figures([good, good, good, bad], [*said, bad], tasks=[1, 2, 3, 4])
    return Measured(Trust(0.9, 0.4, 0.0, 8, (attacked,)), judge)


def test_a_figure_stands_beside_that_of_the_judge_without_negatives():
    figures = figures_of(
        {"base": measured(0.2, 0), "without": measured(0.3, 0), "with": measured(0.01, 1)}
    )
    found = {figure.name: figure for figure in figures}
    change = found["trust/plea/mean_change"]
    assert (change.value, change.baseline, change.target, change.reached) == (0.01, 0.3, 0.02, True)
    # One of three pairs is a tie now.
    accuracy = found["heldout/pairwise_accuracy"]
    assert (accuracy.value, accuracy.baseline) == pytest.approx((2 / 3, 1))
    assert accuracy.target == pytest.approx(0.99)
    assert accuracy.reached is False
    assert found["heldout/mean_iou"].reached is True


def test_a_training_that_fails_is_an_error(tmp_path):
    with pytest.raises(subprocess.CalledProcessError):
        train_together(tmp_path, Effort(num_samples=24), {"without": 0.0})
