from collections import Counter

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from spatialreward.training.group_order import group_order
from spatialreward.training.order import Part, training_order


def order(parts, lengths, groups, **more):
    given = {"num_samples": 96, "batch_size": 8, "samples_at_a_time": 8, "seed": 1} | more
    return group_order(parts, np.asarray(lengths), np.asarray(groups), **given)


@settings(max_examples=60)
@given(
    sizes=st.lists(st.integers(1, 7), min_size=1, max_size=20),
    steps=st.integers(1, 30),
    shares=st.sampled_from([1, 2, 4]),
    seed=st.integers(0, 99),
)
def test_every_conversation_comes_before_any_comes_again(sizes, steps, shares, seed):
    groups = np.repeat(np.arange(len(sizes)), sizes)
    lengths = np.random.default_rng(seed).integers(1, 99, size=len(groups))
    seen = order(
        [Part(np.arange(len(groups)), 1.0)],
        lengths,
        groups,
        num_samples=steps * 8,
        samples_at_a_time=8 // shares,
        seed=seed,
    )
    assert len(seen) == steps * 8
    counts = Counter(seen.tolist())
    rounds = steps * 8 // len(groups)
    assert all(rounds <= counts[number] <= rounds + 1 for number in range(len(groups)))


def test_groups_are_in_memory_together():
    groups = np.repeat(np.arange(40), 4)
    parts = [Part(np.arange(160), 1.0)]
    seen = order(parts, np.arange(160) % 7, groups, num_samples=160, samples_at_a_time=4)
    assert all(len(set(groups[run])) == 1 for run in seen.reshape(-1, 4))


def test_a_group_that_fits_nowhere_is_cut_and_no_place_stays_empty():
    groups = np.repeat(np.arange(32), 3)
    seen = order([Part(np.arange(96), 1.0)], [1] * 96, groups)
    assert sorted(seen) == list(range(96))
    whole = sum(max(Counter(groups[run].tolist()).values()) == 3 for run in seen.reshape(-1, 8))
    assert whole == 12


def test_a_group_larger_than_what_fits_in_memory_comes_in_pieces_of_like_size():
    seen = order(
        [Part(np.arange(24), 1.0)], [1] * 24, [0] * 24, num_samples=24, samples_at_a_time=4
    )
    assert sorted(seen) == list(range(24))


def test_there_are_as_many_samples_of_each_part_as_in_the_order_without_groups():
    parts = [Part(np.arange(60), 0.85), Part(np.arange(60, 120), 0.15)]
    groups = np.arange(120) // 3
    given = {"num_samples": 240, "batch_size": 8, "samples_at_a_time": 4, "seed": 5}
    mine = group_order(parts, np.ones(120), groups, **given)
    theirs = training_order(parts, np.ones(120), **given)
    assert (mine >= 60).sum() == (theirs >= 60).sum()


def test_the_seed_decides_the_order():
    given = ([Part(np.arange(40), 1.0)], np.arange(40), np.arange(40) // 4)
    first = order(*given)
    assert (first == order(*given)).all()
    assert (first != order(*given, seed=2)).any()
