import math

import pytest

from spatialreward.judges.qwen_vl.soft_scores import mean_of_digits, mean_of_whole
from spatialreward.judges.qwen_vl.vocabulary import Digits, Whole

DIGITS = Digits(digits=tuple(range(10)), endings=(10, 11))
UNLIKELY = -1e9


def chances(**likely):
    """Log-chances of tokens 0 to 11; those that are not named have none."""
    return dict.fromkeys(range(12), UNLIKELY) | {int(t[1:]): math.log(p) for t, p in likely.items()}


def test_whole_scores_are_weighted_by_their_chances_among_themselves():
    whole = Whole(tuple(range(100, 126)))
    found = dict.fromkeys(range(200), UNLIKELY)
    # Three to one for 20 over 10; what is no score does not count, however likely it is.
    found |= {110: 0.0, 120: math.log(3.0), 5: 50.0}
    assert mean_of_whole(whole, found) == pytest.approx(17.5)


def test_a_single_digit_is_what_it_is():
    behind = {1: chances(t10=1.0), 2: chances(t10=1.0)}
    assert mean_of_digits(DIGITS, chances(t7=1.0), behind) == pytest.approx(7)


def test_behind_1_and_2_a_number_ends_or_goes_on():
    first = chances(t1=0.5, t2=0.25, t9=0.25)
    behind = {
        # 1, by either way of ending, as likely as 18.
        1: chances(t10=0.2, t11=0.3, t8=0.5),
        # 25; what would be 29 is none, and does not count.
        2: chances(t5=0.1, t9=0.9),
    }
    expected = 0.5 * (0.5 * 1 + 0.5 * 18) + 0.25 * 25 + 0.25 * 9
    assert mean_of_digits(DIGITS, first, behind) == pytest.approx(expected)
