import pytest

from spatialreward.benchmarks.statistics import Values, compare, interval_of, mean_of


def values(*numbers, prompts=None, strata=()):
    return Values(prompts or tuple(map(str, range(len(numbers)))), numbers, strata)


def test_a_figure_is_the_mean_of_its_rows():
    assert mean_of(values(1.0, 0.0, 0.0, 1.0)) == 0.5


def test_with_strata_each_of_them_counts_the_same():
    assert mean_of(values(1.0, 1.0, 1.0, 0.0, strata=("a", "a", "a", "b"))) == 0.5


def test_a_figure_of_no_rows_is_an_error():
    with pytest.raises(ValueError, match="one row at least"):
        mean_of(values())


def test_a_single_prompt_has_no_interval():
    assert interval_of(values(1.0, 0.0, prompts=("p", "p"))) is None


def test_rows_of_one_prompt_do_not_make_an_interval_narrower():
    alone = values(*(float(number % 2) for number in range(40)))
    many = Values(alone.prompts * 10, alone.values * 10)
    as_if_independent = values(*many.values)
    assert interval_of(many) == pytest.approx(interval_of(alone))
    low, high = interval_of(alone)
    # sqrt(0.25 / 40) is 0.079.
    assert high - low == pytest.approx(2 * 1.96 * 0.079, rel=0.1)
    low, high = interval_of(as_if_independent)
    assert high - low == pytest.approx(2 * 1.96 * 0.025, rel=0.1)


def test_an_interval_of_strata_holds_the_figure():
    one = values(*(1.0, 0.0) * 20, *(1.0,) * 5, strata=("a",) * 40 + ("b",) * 5)
    low, high = interval_of(one)
    assert low < mean_of(one) == 0.75 < high


def test_the_same_judge_does_not_differ_from_itself():
    one = values(1.0, 0.0, 1.0)
    assert compare(one, one) == (0.0, (0.0, 0.0), 1.0, 3)


def test_few_prompts_are_tested_by_all_sign_flips():
    # Of the 16 ways to flip the signs of 1, 1, 1, 1 two give a sum as far from 0 as 4.
    paired = compare(values(0.0, 0.0, 0.0, 0.0), values(1.0, 1.0, 1.0, 1.0))
    assert (paired.difference, paired.p_value, paired.num_prompts) == (1.0, 2 / 16, 4)


def test_rows_of_one_prompt_flip_together():
    prompts = ("p", "p", "p", "q")
    paired = compare(
        values(0.0, 0.0, 0.0, 0.0, prompts=prompts), values(1.0, 1.0, 1.0, 1.0, prompts=prompts)
    )
    assert (paired.p_value, paired.num_prompts) == (2 / 4, 2)


def test_many_prompts_are_tested_by_random_flips_and_no_p_is_0():
    paired = compare(values(*(0.0,) * 60), values(*(1.0,) * 60))
    assert paired.p_value == 1 / 2001
    paired = compare(values(*(0.0, 1.0) * 30), values(*(1.0, 0.0) * 30))
    assert paired.difference == 0.0
    assert paired.p_value == 1.0


def test_judges_on_other_rows_are_not_compared():
    with pytest.raises(ValueError, match="the same rows"):
        compare(values(1.0), values(1.0, prompts=("other",)))
