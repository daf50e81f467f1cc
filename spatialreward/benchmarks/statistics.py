"""Uncertainty of figures: intervals and paired tests over prompts.

Rows of one prompt show the same pictures, so they are not independent. Resampling and sign flips
therefore use whole prompts.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import stats

# P prompts, S strata, N resamples
NUM_RESAMPLES = 2_000
SEED = 17
_MOST_EXACT = 12
_FLIPS_A_BATCH = 500
_DIGITS = 12


class Values(NamedTuple):
    """The values behind a figure, one per row."""

    prompts: tuple[str, ...]
    """Of each row."""
    values: tuple[float, ...]
    strata: tuple[str, ...] = ()
    """Of each row: the figure is the unweighted mean of the strata's means. Empty: of all rows."""

    @property
    def num_rows(self) -> int:
        """Number of values."""
        return len(self.values)


class Interval(NamedTuple):
    """95 % interval of a figure."""

    low: float
    high: float


class Paired(NamedTuple):
    """Difference of two judges on the same rows."""

    difference: float
    """The second judge's figure minus the first one's."""
    interval: Interval | None
    p_value: float
    """Share of sign flips, by prompt, with a difference at least as large."""
    num_prompts: int


def mean_of(values: Values) -> float:
    """The figure itself.

    Raises:
        ValueError: there are no rows.
    """
    if not values.values:
        raise ValueError("expected one row at least")
    sums_PS, counts_PS = _by_prompt(values)
    return float(np.mean(sums_PS.sum(axis=0) / counts_PS.sum(axis=0)))


def interval_of(
    values: Values, num_resamples: int = NUM_RESAMPLES, seed: int = SEED
) -> Interval | None:
    """95 % percentile interval by resampling prompts; None for a single prompt.

    A resample without a row of some stratum averages over the others. One matrix product does all
    resamples and strata; ``scipy.stats.bootstrap`` would gather the rows of each resample.
    """
    sums_PS, counts_PS = _by_prompt(values)
    num_prompts = len(sums_PS)
    if num_prompts < 2:
        return None
    drawn_NP = np.random.default_rng(seed).multinomial(
        num_prompts, np.full(num_prompts, 1 / num_prompts), size=num_resamples
    )
    counts_NS = drawn_NP @ counts_PS
    with np.errstate(invalid="ignore"):
        means_NS = (drawn_NP @ sums_PS) / counts_NS
    low, high = np.quantile(np.nanmean(means_NS, axis=1), (0.025, 0.975))
    return Interval(float(low), float(high))


def compare(
    first: Values, second: Values, num_resamples: int = NUM_RESAMPLES, seed: int = SEED
) -> Paired:
    """Compare two judges on the same rows.

    The test flips the sign of all differences of a prompt at once: exhaustively for up to 12
    prompts, else in ``num_resamples`` random ways.

    Raises:
        ValueError: the rows differ.
    """
    if first.prompts != second.prompts or first.strata != second.strata:
        raise ValueError("expected the same rows of both judges")
    pairs = zip(first.values, second.values, strict=True)
    differences = first._replace(values=tuple(b - a for a, b in pairs))
    sums_PS, counts_PS = _by_prompt(differences)
    totals_S = counts_PS.sum(axis=0)
    shares_P = (sums_PS / totals_S).sum(axis=1) / len(totals_S)
    return Paired(
        difference=mean_of(differences),
        interval=interval_of(differences, num_resamples, seed),
        p_value=_sign_flips(shares_P, num_resamples, seed),
        num_prompts=len(shares_P),
    )


def _sign_flips(shares_P: NDArray[np.float64], num_flips: int, seed: int) -> float:
    num_prompts = len(shares_P)
    if num_prompts < 2:
        return 1.0
    # Rounded: sums that differ by the order of their terms alone are equally large.
    result = stats.permutation_test(
        (shares_P,),
        lambda flipped, axis: np.abs(flipped.sum(axis=axis)).round(_DIGITS),
        permutation_type="samples",
        vectorized=True,
        n_resamples=np.inf if num_prompts <= _MOST_EXACT else num_flips,
        batch=_FLIPS_A_BATCH,
        alternative="greater",
        rng=np.random.default_rng(seed),
    )
    return float(result.pvalue)


def _by_prompt(values: Values) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Sums and counts of rows, ``[P, S]`` each."""
    strata = values.strata or ("",) * values.num_rows
    prompt_of, stratum_of = _numbers(values.prompts), _numbers(strata)
    shape = (len(prompt_of), len(stratum_of))
    sums_PS, counts_PS = np.zeros(shape), np.zeros(shape)
    rows = [prompt_of[one] for one in values.prompts], [stratum_of[one] for one in strata]
    np.add.at(sums_PS, rows, values.values)
    np.add.at(counts_PS, rows, 1.0)
    return sums_PS, counts_PS


def _numbers(names: tuple[str, ...]) -> dict[str, int]:
    return {name: number for number, name in enumerate(dict.fromkeys(names))}
