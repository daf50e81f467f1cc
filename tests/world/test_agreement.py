import numpy as np
import pytest

from spatialreward.benchmarks.config import EditorEvaluationConfig
from spatialreward.editors.config import DenoisingConfig
from spatialreward.judges.pixels import PixelDifference
from spatialreward.records import Scores
from spatialreward.world import agreement
from spatialreward.world.agreement import (
    agreement_figures,
    draw_groups,
    within_group_agreement,
)
from spatialreward.world.config import DataConfig
from spatialreward.world.drawing import draw_samples
from spatialreward.world.oracle_judge import Oracle

TRUTH = np.array([[0.1, 0.2, 0.3], [0.9, 0.5, 0.7]])


def test_the_true_order_agrees_fully_and_its_reverse_not_at_all():
    assert within_group_agreement(2 * TRUTH + 5, TRUTH) == pytest.approx(1)
    assert within_group_agreement(-TRUTH, TRUTH) == pytest.approx(-1)


def test_only_the_order_within_a_group_counts():
    # The groups' means are the wrong way round; 2 of 3 pairs of the second group are right.
    rewards = np.array([[0.8, 0.85, 0.9], [0.2, 0.05, 0.01]])
    assert within_group_agreement(rewards, TRUTH) == pytest.approx((1 + 1 / 3) / 2)


def test_a_group_without_a_true_order_does_not_count():
    truth = np.vstack([TRUTH, np.full(3, 0.5)])
    assert within_group_agreement(truth, truth) == pytest.approx(1)
    assert np.isnan(within_group_agreement(truth[2:], truth[2:]))


def test_a_group_without_an_order_of_rewards_counts_as_0():
    constant = np.array([[0.5, 0.5, 0.5], TRUTH[1]])
    assert within_group_agreement(constant, TRUTH) == pytest.approx(0.5)
    lost = np.array([[0.5, np.nan, np.nan], TRUTH[1]])
    assert within_group_agreement(lost, TRUTH) == pytest.approx(0.5)


def test_a_failed_judgement_is_left_out_of_its_group():
    rewards = np.array([[0.1, np.nan, 0.3], TRUTH[1]])
    assert within_group_agreement(rewards, TRUTH) == pytest.approx(1)


def test_groups_of_an_editor_are_compared_with_the_oracle(editor_folder):
    config = EditorEvaluationConfig(
        num_groups=3, group_size=3, denoising=DenoisingConfig(num_denoising_steps=2)
    )
    judge = PixelDifference()
    groups = draw_groups(editor_folder, DataConfig(seed=21), config)
    figures = agreement_figures(groups, judge)
    assert figures.judge == figures.pixel_difference
    assert all(-1 <= tau <= 1 for tau in figures[:3])


def test_each_score_is_compared_with_the_oracles_own(editor_folder, monkeypatch):
    world = DataConfig(seed=21)
    painted = [sample.images() for sample in draw_samples(world, "heldout", 4)]
    monkeypatch.setattr(
        agreement,
        "_draw_groups",
        lambda *args: [[*pictures, painted[0][1]] for pictures in painted],
    )
    config = EditorEvaluationConfig(num_groups=4, group_size=3)
    figures = agreement_figures(draw_groups(editor_folder, world, config), Oracle())
    assert figures.judge == pytest.approx(1)
    assert figures.over_editing == pytest.approx(1)
    taus = [getattr(figures, name) for name in Scores.model_fields]
    assert all(tau == pytest.approx(1) or np.isnan(tau) for tau in taus)
