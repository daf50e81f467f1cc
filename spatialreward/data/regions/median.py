"""A fast median of a few thousand numbers, called dozens of times per pair of pictures."""

import numpy as np
from numpy.typing import NDArray


def median(values: NDArray) -> float:
    """As ``np.median`` for finite numbers, but faster, because it skips the checks."""
    values_N = values.ravel()
    half, is_odd = divmod(len(values_N), 2)
    if is_odd:
        return float(np.partition(values_N, half)[half])
    sorted_N = np.partition(values_N, (half - 1, half))
    return (float(sorted_N[half - 1]) + float(sorted_N[half])) / 2
