"""The order of training conversations: shares of streams, epochs, batches of similar length.

The seed alone fixes the whole order before the first step. So a resumed training skips numbers
without reading data, and the batches do not depend on the number of processes.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

# Batches drawn together and sorted by length: less padding, same samples.
SORTED_BATCHES = 8


class Part(NamedTuple):
    """Conversations with a share of the training."""

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

    Each part is reshuffled every epoch, and none of its conversations repeats within an epoch.

    Args:
        parts: the samples to train on; their shares sum to 1.
        lengths: of all conversations, by number.
        num_samples: total to draw, a multiple of the batch size.
        batch_size: samples of one update.
        samples_at_a_time: samples in one process at once; on average as long as the others of their
            batch, so that no process waits for another.
        seed: of the order.
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
    """The part of each sample, by the parts' shares."""
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
    """Batches of similar length, shuffled, each dealt evenly to the processes."""
    by_length = piece[np.argsort(lengths[piece], kind="stable")]
    batches = rng.permutation(by_length.reshape(-1, batch_size), axis=0)
    shares = batch_size // samples_at_a_time
    return batches.reshape(-1, samples_at_a_time, shares).transpose(0, 2, 1).reshape(-1)
