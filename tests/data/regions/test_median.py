import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from spatialreward.data.regions.median import median

numbers = arrays.arrays(np.float32, st.integers(1, 40), elements=st.floats(-1e6, 1e6, width=32))


@given(numbers)
def test_it_is_numpys(values):
    assert median(values) == pytest.approx(float(np.median(values.astype(np.float64))))


def test_small_whole_numbers_do_not_overflow():
    assert median(np.array([250, 255], np.uint8)) == 252.5
