import itertools

import pytest

from spatialreward.benchmarks import orders

BETTER_IF_MORE = [orders.tau, orders.spearman, orders.ndcg, orders.top1, orders.top2]


def test_a_judge_that_cannot_tell_edits_apart_knows_nothing():
    same = [7.0, 7.0, 7.0]
    assert orders.exact(same) == 0.0
    assert orders.expected(orders.tau, same) == pytest.approx(0.0)
    assert orders.expected(orders.spearman, same) == pytest.approx(0.0)
    assert orders.expected(orders.top1, same) == pytest.approx(1 / 3)
    assert orders.expected(orders.ndcg, same) < 1


def test_the_right_ndcg_of_a_cycle():
    # The published script has 0.8175.
    assert orders.ndcg([1, 2, 0]) == pytest.approx(0.8675, abs=5e-5)


def test_a_tied_pair_is_neither_right_nor_wrong():
    # Pairs: 0-1 tied, 0-2 and 1-2 right.
    assert orders.expected(orders.tau, [2.0, 2.0, 1.0]) == pytest.approx(2 / 3)


def test_a_failed_judgement_is_the_worst_it_could_have_been():
    assert orders.exact([2.0, None]) == 0.0
    assert orders.expected(orders.tau, [2.0, None]) == -1.0
    assert orders.expected(orders.top1, [3.0, 2.0, None]) == 0.0
    # The third at the top puts the others off by one each, and itself by two.
    assert orders.expected(orders.position_error, [3.0, 2.0, None], max) == pytest.approx(4 / 3)


@pytest.mark.parametrize("measure", BETTER_IF_MORE)
def test_failing_is_never_better_than_answering(measure):
    for scores in itertools.product((1.0, 2.0, 3.0), repeat=3):
        answered = orders.expected(measure, scores)
        for candidate in range(3):
            without = [None if place == candidate else one for place, one in enumerate(scores)]
            assert orders.expected(measure, without) <= answered + 1e-12


def test_an_exact_order_takes_a_higher_score_for_each_next_better_one():
    assert orders.exact([3.0, 2.0, 1.0]) == 1.0
    assert orders.exact([3.0, 1.0, 2.0]) == 0.0
    assert orders.exact([3.0, 3.0, 1.0]) == 0.0


def test_without_ties_ours_is_the_plain_metric():
    for order in itertools.permutations(range(4)):
        scores = [0.0] * 4
        for place, candidate in enumerate(order):
            scores[candidate] = 4.0 - place
        for measure in BETTER_IF_MORE:
            assert orders.expected(measure, scores) == pytest.approx(measure(order))
