from collections import Counter

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from spatialreward.training.order import Part, training_order


def order(parts, lengths, **more):
    given = {"num_samples": 96, "batch_size": 8, "samples_at_a_time": 8, "seed": 1} | more
    return training_order(parts, np.asarray(lengths), **given)


@settings(max_examples=50)
@given(
    num=st.integers(1, 60),
    steps=st.integers(1, 40),
    batch=st.sampled_from([1, 2, 4, 6]),
    seed=st.integers(0, 99),
)
def test_every_conversation_comes_before_any_comes_again(num, steps, batch, seed):
    lengths = np.random.default_rng(seed).integers(1, 99, size=num)
    seen = order(
        [Part(np.arange(num), 1.0)],
        lengths,
        num_samples=steps * batch,
        batch_size=batch,
        samples_at_a_time=batch,
        seed=seed,
    )
    counts = Counter(seen.tolist())
    assert len(seen) == steps * batch
    # Sorting by length moves a conversation within a window of eight batches at most.
    rounds = -(-steps * batch // num)
    assert max(counts.values()) <= rounds
    assert sum(counts.values()) == steps * batch


def test_parts_have_their_shares():
    parts = [Part(np.arange(0, 50), 0.7), Part(np.arange(50, 60), 0.3)]
    seen = order(parts, [1] * 60, num_samples=4_000, batch_size=10, samples_at_a_time=10)
    assert 0.26 < np.mean(seen >= 50) < 0.34


def test_a_part_without_a_share_is_not_seen():
    parts = [Part(np.arange(0, 5), 1.0), Part(np.arange(5, 9), 0.0)]
    assert order(parts, [1] * 9).max() < 5


def test_batches_are_of_like_length_and_come_in_any_order():
    lengths = np.arange(64)
    seen = order([Part(np.arange(64), 1.0)], lengths, num_samples=64).reshape(-1, 8)
    assert {tuple(sorted(batch)) for batch in seen.tolist()} == {
        tuple(range(start, start + 8)) for start in range(0, 64, 8)
    }
    assert seen.min(axis=1).tolist() != sorted(seen.min(axis=1).tolist())


def test_those_who_share_a_batch_have_short_and_long_ones_alike():
    lengths = np.arange(64)
    parts = [Part(np.arange(64), 1.0)]
    whole = order(parts, lengths, num_samples=64).reshape(-1, 8)
    shared = order(parts, lengths, num_samples=64, samples_at_a_time=2).reshape(-1, 4, 2)
    for batch, pieces in zip(whole, shared, strict=True):
        assert sorted(pieces.flatten()) == sorted(batch)
        means = pieces.mean(axis=1)
        assert means.max() - means.min() <= 3


def test_the_seed_decides_the_order():
    parts = [Part(np.arange(40), 1.0)]
    first = order(parts, np.arange(40))
    assert (first == order(parts, np.arange(40))).all()
    assert (first != order(parts, np.arange(40), seed=2)).any()
