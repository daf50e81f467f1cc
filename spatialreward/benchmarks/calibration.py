"""Whether rewards mean what they say: how reliable they are where the truth is known.

Two measures, each an expected calibration error (Naeini et al., 2015) over ten bins of equal width,
``sum over bins of n_bin / N * |mean predicted - mean true|``:

- *win probability*, of every benchmark. A reward is no probability, so the difference of a pair's
  rewards becomes one by the Bradley-Terry model, ``p = 1 / (1 + exp(-k (r1 - r2)))``. The one
  constant k is the likeliest on the other half of the prompts. Predicted is the probability of the
  edit that the judge prefers, 0.5 to 1, and true is how often that is the better one; of a tie both
  are 0.5.
- *reward*, where the true reward is known. Predicted is the reward, true the true reward.

Edits without a judgement have no part in either; their share is a figure of its own.
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
"""Rows about one dimension alone say nothing of the reward."""


class Bin(Record):
    """Predictions of about the same size."""

    predicted: float
    """Their mean."""
    true: float
    """Mean of what came true."""
    num: int


class Calibration(Record):
    """How far predictions are from what came true."""

    of: str
    """``win probability`` or ``reward``."""
    error: float
    """Expected calibration error, 0 best."""
    num: int
    """Pairs, or edits."""
    bins: tuple[Bin, ...]
    """Those that hold anything."""


class _Pair(NamedTuple):
    prompt: str
    difference: float
    """Reward of the better edit less that of the worse one."""


def calibrations(
    items: Sequence[Item], judgements: Judgements, truths: Mapping[str, Judgement]
) -> tuple[Calibration, ...]:
    """Both measures, those that there is anything to make of.

    Args:
        items: of the benchmark.
        judgements: of one judge, by key.
        truths: what a perfect judge would say, by key; empty where it is not known.
    """
    found = (_of_pairs(list(_pairs(items, judgements, truths))), _of_rewards(judgements, truths))
    return tuple(one for one in found if one is not None)


def expected_error(
    of: str, predicted: NDArray[np.float64], true: NDArray[np.float64], low: float
) -> Calibration:
    """The expected calibration error.

    Args:
        of: what is predicted.
        predicted: ``[N]``, ``low`` to 1.
        true: ``[N]``.
        low: where the first bin begins.
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
    """Pairs of one item, both judged; of known rewards only such as differ."""
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
    """Bounded: no k is the likeliest where all pairs are right."""

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
