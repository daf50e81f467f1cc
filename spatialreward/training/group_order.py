"""Training order for pairs: edits to compare are in memory together.

Parts have the shares and sizes of ``training_order``, without repetition within an epoch; here the
unit of sampling is a group instead of a conversation.
"""

from collections.abc import Iterator, Sequence

import numpy as np

from spatialreward.training.order import SORTED_BATCHES, Part, chosen_parts


def group_order(
    parts: Sequence[Part],
    lengths: np.ndarray,
    groups: np.ndarray,
    *,
    num_samples: int,
    batch_size: int,
    samples_at_a_time: int,
    seed: int,
) -> np.ndarray:
    """As ``training_order``, but keeps the conversations of a group together.

    Each run of ``samples_at_a_time`` is in one process's memory. A group lies within one run,
    unless it is larger or fills the last places of a run.

    Args:
        parts: the samples to train on; their shares sum to 1.
        lengths: of all conversations, by number.
        groups: number of the group of each conversation.
        num_samples: total to draw, a multiple of the batch size.
        batch_size: samples of one update.
        samples_at_a_time: samples in one process at once.
        seed: of the order.
    """
    rng = np.random.default_rng(seed)
    chosen = chosen_parts(parts, num_samples, rng)
    placed: list[tuple[int, np.ndarray]] = []
    for number, part in enumerate(parts):
        places = np.flatnonzero(chosen == number)
        at = 0
        drawn = _drawn(part.numbers, groups, samples_at_a_time, rng)
        while at < len(places):
            unit = next(drawn)[: len(places) - at]
            placed.append((int(places[at]), unit))
            at += len(unit)
    units = [unit for _, unit in sorted(placed, key=lambda one: one[0])]
    order = []
    for window in _windows(units, batch_size * SORTED_BATCHES):
        filled = _filled(window, lengths, samples_at_a_time)
        order.append(rng.permutation(filled.reshape(-1, batch_size), axis=0).reshape(-1))
    return np.concatenate(order)


def _drawn(
    numbers: np.ndarray, groups: np.ndarray, most: int, rng: np.random.Generator
) -> Iterator[np.ndarray]:
    """Endless groups of a part, reshuffled each epoch; large ones in several pieces."""
    by_group = numbers[np.argsort(groups[numbers], kind="stable")]
    starts = np.flatnonzero(np.diff(groups[by_group], prepend=-1))
    members = np.split(by_group, starts[1:])
    while True:
        for number in rng.permutation(len(members)):
            shuffled = rng.permutation(members[number])
            yield from np.array_split(shuffled, -(-len(shuffled) // most))


def _windows(units: Sequence[np.ndarray], size: int) -> Iterator[list[np.ndarray]]:
    """Units in order, in windows of ``size`` conversations; cuts a unit at the border."""
    window: list[np.ndarray] = []
    room = size
    for unit in units:
        rest = unit
        while len(rest) >= room:
            yield [*window, rest[:room]]
            rest, window, room = rest[room:], [], size
        if len(rest):
            window.append(rest)
            room -= len(rest)
    if window:
        yield window


def _filled(units: Sequence[np.ndarray], lengths: np.ndarray, size: int) -> np.ndarray:
    """Order units by length so that each run of ``size`` is full.

    If none fits the rest of a run, cuts the largest one.
    """
    waiting = sorted(units, key=lambda unit: float(lengths[unit].mean()))
    order: list[np.ndarray] = []
    room = size
    while waiting:
        fitting = next((at for at, unit in enumerate(waiting) if len(unit) <= room), None)
        if fitting is None:
            largest = max(range(len(waiting)), key=lambda at: len(waiting[at]))
            order.append(waiting[largest][:room])
            waiting[largest] = waiting[largest][room:]
            room = size
        else:
            taken = waiting.pop(fitting)
            order.append(taken)
            room = room - len(taken) or size
    return np.concatenate(order)
