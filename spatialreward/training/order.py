"""Which conversation a training sees when: shares of streams, epochs, and batches of like length.

The whole order is decided before the first step, by the seed alone. So a training that goes on
after a kill skips numbers and no data, and the batches are the same however many processes share
them.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

# Batches that are drawn together and sorted by length: less padding, same samples.
SORTED_BATCHES = 8


class Part(NamedTuple):
    """Conversations that have a share of the training."""

    numbers: np.ndarray
    share: float


def training_order(
    parts: Sequence[Part],
    lengths: np.ndarray,
    *,
    num_samples: int,
    batch_size: int,
    samples_at_a_time: int,
    seed: int,
) -> np.ndarray:
    """Numbers of the conversations in turn: ``num_samples``, in batches of ``batch_size``.

    Each part is gone through in another order every time, and none of its conversations comes
    again before all have come.

    Args:
        parts: what is trained on; their shares sum to 1.
        lengths: of all conversations, by number.
        num_samples: how many are seen, a multiple of the batch size.
        batch_size: samples of one update.
        samples_at_a_time: of which one process takes so many at once; they are as long as the
            others of their batch on average, so that no process waits for another.
        seed: decides the order.
    """
    rng = np.random.default_rng(seed)
    chosen = chosen_parts(parts, num_samples, rng)
    order = np.empty(num_samples, dtype=np.int64)
    for number, part in enumerate(parts):
        places = np.flatnonzero(chosen == number)
        order[places] = _in_epochs(part.numbers, len(places), rng)
    window = batch_size * SORTED_BATCHES
    pieces = [order[start : start + window] for start in range(0, num_samples, window)]
    return np.concatenate(
        [_grouped(piece, lengths, batch_size, samples_at_a_time, rng) for piece in pieces]
    )


def chosen_parts(parts: Sequence[Part], num_samples: int, rng: np.random.Generator) -> np.ndarray:
    """Which part each sample is of, by the parts' shares."""
    shares = np.array([part.share for part in parts])
    return rng.choice(len(parts), size=num_samples, p=shares / shares.sum())


def _in_epochs(numbers: np.ndarray, count: int, rng: np.random.Generator) -> np.ndarray:
    if not count:
        return np.empty(0, dtype=np.int64)
    epochs = [rng.permutation(numbers) for _ in range(-(-count // len(numbers)))]
    return np.concatenate(epochs)[:count]


def _grouped(
    piece: np.ndarray,
    lengths: np.ndarray,
    batch_size: int,
    samples_at_a_time: int,
    rng: np.random.Generator,
) -> np.ndarray:
    """Batches of like length, in any order, each dealt out like cards to those who share it."""
    by_length = piece[np.argsort(lengths[piece], kind="stable")]
    batches = rng.permutation(by_length.reshape(-1, batch_size), axis=0)
    shares = batch_size // samples_at_a_time
    return batches.reshape(-1, samples_at_a_time, shares).transpose(0, 2, 1).reshape(-1)
