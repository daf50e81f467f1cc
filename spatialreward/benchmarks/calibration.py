"""Calibration of rewards against known truth.

Two measures, each an expected calibration error (Naeini et al., 2015) over ten bins of equal width,
``sum over bins of n_bin / N * |mean predicted - mean true|``:

- *win probability*, for every benchmark. The Bradley-Terry model turns the difference of a pair's
  rewards into a probability, ``p = 1 / (1 + exp(-k (r1 - r2)))``; the single constant k is the
  maximum-likelihood estimate on the other half of the prompts. The prediction is the probability
  of the edit that the judge prefers, 0.5 to 1, the truth how often that is the better one; for a
  tie both are 0.5.
- *reward*, where the true reward is known. The prediction is the reward, the truth the true reward.

Both omit edits without a judgement; a separate figure gives their share.
"""

import itertools
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import optimize

from spatialreward.benchmarks.interface import Item, Judgements
from spatialreward.benchmarks.orders import settled
from spatialreward.records import Judgement, Record

NUM_BINS = 10
WIN_PROBABILITY, REWARD = "win probability", "reward"
_LARGEST_LOG_K = math.log(1_000.0)
_WHOLE_EDIT = ("", "overall")
"""Rows about a single dimension do not measure the reward."""


class Bin(Record):
    """Predictions of similar size."""

    predicted: float
    """Their mean."""
    true: float
    """Mean of the truth."""
    num: int


class Calibration(Record):
    """Difference between predictions and truth."""

    of: str
    """``win probability`` or ``reward``."""
    error: float
    """Expected calibration error, 0 best."""
    num: int
    """Pairs, or edits."""
    bins: tuple[Bin, ...]
    """The non-empty ones."""


class _Pair(NamedTuple):
    prompt: str
    difference: float
    """Reward of the better edit minus that of the worse one."""


def calibrations(
    items: Sequence[Item], judgements: Judgements, truths: Mapping[str, Judgement]
) -> tuple[Calibration, ...]:
    """Both measures, if there is data for them.

    Args:
        items: of the benchmark.
        judgements: of one judge, by key.
        truths: a perfect judge's judgements, by key; empty if unknown.
    """
    found = (_of_pairs(list(_pairs(items, judgements, truths))), _of_rewards(judgements, truths))
    return tuple(one for one in found if one is not None)


def expected_error(
    of: str, predicted: NDArray[np.float64], true: NDArray[np.float64], low: float
) -> Calibration:
    """The expected calibration error.

    Args:
        of: name of the prediction.
        predicted: ``[N]``, ``low`` to 1.
        true: ``[N]``.
        low: start of the first bin.
    """
    place = np.minimum((predicted - low) / (1 - low) * NUM_BINS, NUM_BINS - 1).astype(int)
    bins = [
        Bin(
            predicted=float(predicted[place == one].mean()),
            true=float(true[place == one].mean()),
            num=int((place == one).sum()),
        )
        for one in np.unique(place)
    ]
    error = sum(one.num * abs(one.predicted - one.true) for one in bins) / len(predicted)
    return Calibration(of=of, error=error, num=len(predicted), bins=tuple(bins))


def _pairs(
    items: Iterable[Item], judgements: Judgements, truths: Mapping[str, Judgement]
) -> Iterable[_Pair]:
    """Pairs within one item, both judged; with known rewards only those that differ."""
    for item in items:
        if item.labels.get("dimension", "") not in _WHOLE_EDIT:
            continue
        keys = [item.candidates[place].key for place in item.order]
        for better, worse in itertools.combinations(keys, 2):
            if truths and truths[better].reward == truths[worse].reward:
                continue
            rewards = [settled(_reward(judgements.get(key))) for key in (better, worse)]
            if None not in rewards:
                yield _Pair(item.prompt, rewards[0] - rewards[1])


def _of_pairs(pairs: Sequence[_Pair]) -> Calibration | None:
    prompts = {prompt: number for number, prompt in enumerate(dict.fromkeys(p for p, _ in pairs))}
    if len(prompts) < 2:
        return None
    differences = np.array([pair.difference for pair in pairs])
    half = np.array([prompts[pair.prompt] % 2 for pair in pairs])
    predicted = np.empty(len(pairs))
    for one in (0, 1):
        k = _likeliest_k(differences[half != one])
        predicted[half == one] = 1 / (1 + np.exp(-k * np.abs(differences[half == one])))
    true = (np.sign(differences) + 1) / 2
    return expected_error(WIN_PROBABILITY, predicted, true, 0.5)


def _likeliest_k(differences: NDArray[np.float64]) -> float:
    """Bounded, because k diverges if all pairs are right."""

    def surprise(log_k: float) -> float:
        return float(np.logaddexp(0, -math.exp(log_k) * differences).sum())

    bounds = (-_LARGEST_LOG_K, _LARGEST_LOG_K)
    return math.exp(optimize.minimize_scalar(surprise, bounds=bounds, method="bounded").x)


def _of_rewards(judgements: Judgements, truths: Mapping[str, Judgement]) -> Calibration | None:
    known = [
        (reward, truth.reward)
        for key, truth in truths.items()
        if (reward := _reward(judgements.get(key))) is not None
    ]
    if not known:
        return None
    predicted, true = np.array(known).T
    return expected_error(REWARD, predicted, true, 0.0)


def _reward(judgement: Judgement | None) -> float | None:
    return None if judgement is None else judgement.reward
