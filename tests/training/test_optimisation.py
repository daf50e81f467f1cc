import itertools

import pytest

from spatialreward.training.optimisation import learning_rate_factor


def test_the_learning_rate_warms_up_and_falls_to_a_tenth():
    factors = [learning_rate_factor(step, 4, 100) for step in range(101)]
    assert factors[:4] == [0.25, 0.5, 0.75, 1.0]
    assert factors[100] == pytest.approx(0.1)
    assert all(a >= b for a, b in itertools.pairwise(factors[4:]))
