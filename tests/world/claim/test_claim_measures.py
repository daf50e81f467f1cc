import pytest

from spatialreward.world.claim.comparing import Mean, claim_figures, tabulate
from spatialreward.world.claim.measuring import (
    Measured,
    Row,
    exact_order,
    over_editing_error,
    region_iou,
    within_accuracy,
)
from spatialreward.world.claim.picture import draw_claim


def row(task, true_reward, reward, *, true_over=25.0, over=25.0, iou=None):
    return Row(
        task=task,
        true_reward=true_reward,
        reward=reward,
        true_over_editing=true_over,
        over_editing=over,
        iou=iou,
    )


def judge(*rows, kind="regions", seed=11, **more):
    usual = {
        "source_attention": 0.4,
        "group_agreement": 0.3,
        "judgements_per_s": 2.0,
        "training_s": 60.0,
    }
    return Measured(kind=kind, seed=seed, rows=rows, **(usual | more))


def test_pairs_count_within_a_task_alone_and_only_where_the_truth_differs():
    measured = judge(
        *(row(0, 0.9, 0.2), row(0, 0.5, 0.1), row(0, 0.48, 0.3)),
        *(row(1, 0.7, 0.4), row(1, 0.2, None)),
    )
    # Of task 0: right, wrong, and one too close; of task 1 one, without a reward.
    assert within_accuracy(measured) == pytest.approx(1 / 3)


def test_an_order_is_exact_when_all_of_it_is_right():
    measured = judge(
        *(row(0, 0.9, 0.8), row(0, 0.5, 0.6), row(0, 0.1, 0.4)),
        *(row(1, 0.9, 0.8), row(1, 0.5, 0.3), row(1, 0.1, 0.4)),
        *(row(2, 0.9, 0.8), row(2, 0.88, 0.3), row(2, 0.1, 0.2)),
        *(row(3, 0.2, None), row(3, 0.8, 0.9)),
    )
    assert exact_order(measured, 3) == 0.5
    assert exact_order(measured, 2) == 0.0
    assert exact_order(measured, 4) is None


def test_a_failed_judgement_is_as_wrong_about_over_editing_as_can_be():
    measured = judge(row(0, 0.9, 0.9, true_over=20, over=17), row(0, 0.1, None, over=None))
    assert over_editing_error(measured) == (3 + 25) / 2


def test_a_judge_that_learnt_orders_alone_has_no_error_of_a_score():
    assert over_editing_error(judge(row(0, 0.9, 0.9), kind="discriminative")) is None


def test_a_judge_without_regions_has_no_iou():
    assert region_iou(judge(row(0, 0.9, 0.9), kind="scores")) is None
    assert region_iou(judge(row(0, 0.9, 0.9, iou=0.5), row(0, 0.1, None, iou=0.0))) == 0.25


def test_means_over_seeds_have_students_interval():
    mean = Mean.of([0.7, 0.8, 0.9])
    # t for two degrees of freedom is 4.303, the standard error 0.1 / sqrt(3).
    assert mean.value == pytest.approx(0.8)
    assert mean.interval == pytest.approx((0.8 - 0.2484, 0.8 + 0.2484), abs=1e-3)
    assert Mean.of([0.7]).interval is None


def test_the_claim_is_a_difference_seed_by_seed_to_the_best_rival():
    right, wrong = (row(0, 0.9, 0.9), row(0, 0.1, 0.2)), (row(0, 0.9, 0.1), row(0, 0.1, 0.2))
    off = (row(0, 0.9, 0.9, over=20.0), row(0, 0.1, 0.2, over=20.0))
    table = tabulate(
        [
            *(judge(*right, seed=seed) for seed in (1, 2)),
            *(judge(*wrong, kind="scores", seed=seed) for seed in (1, 2)),
            *(judge(*off, kind="joint", seed=seed) for seed in (1, 2)),
        ]
    )
    figures = {one.name: one for one in claim_figures(table, "regions")}
    accuracy = figures["claim/regions_minus_best_rival/within_accuracy/joint"]
    assert (accuracy.value, accuracy.reached) == (0.0, False)
    # The best rival differs from measure to measure, and less error is more.
    error = figures["claim/regions_minus_best_rival/over_editing_error/scores"]
    assert (error.value, error.reached) == (0.0, False)
    assert figures["within_accuracy/scores"].value == 0.0
    assert not any("training_s" in name for name in figures if name.startswith("claim/"))


def test_a_difference_is_above_0_where_less_error_is_better():
    off = (row(0, 0.9, 0.9, over=20.0), row(0, 0.1, 0.2, over=20.0))
    true = (row(0, 0.9, 0.9), row(0, 0.1, 0.2))
    judges = [judge(*true, seed=seed) for seed in (1, 2)]
    judges += [judge(*off, kind="scores", seed=seed) for seed in (1, 2)]
    (error,) = (
        one
        for one in claim_figures(tabulate(judges), "regions")
        if one.name.startswith("claim/regions_minus_best_rival/over_editing_error")
    )
    assert (error.value, error.interval, error.reached) == (5.0, (5.0, 5.0), True)


def test_the_picture_has_a_panel_a_measure_and_room_where_a_kind_has_no_figure():
    rows = (row(0, 0.9, 0.9), row(0, 0.1, 0.2))
    judges = [judge(*rows, seed=seed) for seed in (1, 2)]
    judges += [
        judge(*rows, kind="discriminative", seed=seed, source_attention=None) for seed in (1, 2)
    ]
    picture = draw_claim(tabulate(judges), ("regions", "discriminative"))
    assert picture.width > 1000
    assert len(set(picture.get_flattened_data())) > 50
