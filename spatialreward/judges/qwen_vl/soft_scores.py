"""Soft scores: the mean of a score under the model's own distribution, 0..25.

With a vocabulary that has 0..25 it is a softmax over those tokens. With one that splits numbers it
is the mean over a tree of two levels: the first digit, and after 1 and 2 either a second digit or
the number's end. Each level is normalised over its valid candidates, so a form that rules out
others changes nothing.
"""

# N scores, C candidates for a token

import math
from collections.abc import Mapping, Sequence

from spatialreward.judges.qwen_vl.vocabulary import NUM_SCORES, Digits, Whole

LogChances = Mapping[int, float]
"""Log-probability, up to a constant, of each candidate token."""


def candidates(tokens: Whole | Digits) -> tuple[int, ...]:
    """The tokens whose log-probabilities are needed, at a score's first token and after it."""
    if isinstance(tokens, Whole):
        return tokens.scores
    return (*tokens.digits, *tokens.endings)


def mean_of_whole(tokens: Whole, chances: LogChances) -> float:
    """Mean of scores 0..25 that are one token each."""
    return _mean(range(NUM_SCORES), [chances[token] for token in tokens.scores])


def mean_of_digits(tokens: Digits, first: LogChances, behind: Mapping[int, LogChances]) -> float:
    """Mean of scores 0..25 that are spelled digit by digit.

    Args:
        tokens: of digits and of number ends.
        first: log-probabilities of the first digit.
        behind: log-probabilities after each first digit that may have a second one.
    """
    values = [
        _mean_behind(digit, tokens, behind[digit]) if digit in behind else float(digit)
        for digit in range(10)
    ]
    return _mean(values, [first[token] for token in tokens.digits])


def _mean_behind(digit: int, tokens: Digits, chances: LogChances) -> float:
    seconds = tokens.after(digit)
    values = [10.0 * digit + second for second in range(len(seconds))]
    values += [float(digit)] * len(tokens.endings)
    return _mean(values, [chances[token] for token in (*seconds, *tokens.endings)])


def _mean(values: Sequence[float], log_chances: Sequence[float]) -> float:
    """Mean of values, weighted by their renormalised probabilities."""
    largest = max(log_chances)
    weights = [math.exp(one - largest) for one in log_chances]
    weighted = sum(value * weight for value, weight in zip(values, weights, strict=True))
    return weighted / sum(weights)
