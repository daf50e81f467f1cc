from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spatialreward.data.loading.order import EpochOrder, permutation
from spatialreward.data.loading.state import Leg, LoadingConfig
from spatialreward.errors import InvalidInputError

GROUP_SIZES = st.lists(st.integers(1, 9), min_size=1, max_size=30)
CONFIGS = st.builds(
    LoadingConfig,
    seed=st.integers(-(2**63), 2**63),
    buffer_rows=st.integers(1, 40),
    drop_remainder=st.booleans(),
)
STREAMS = st.integers(1, 7)
EPOCHS = st.integers(0, 50)


def leg(num_streams, taken=()):
    return Leg(num_streams=num_streams, taken=dict(enumerate(taken)))


def rows_of(order, stream, taken=0):
    return [int(row) for rows in order.buffers(stream, taken) for row in rows]


def all_rows(order, num_streams):
    return [row for stream in range(num_streams) for row in rows_of(order, stream)]


@given(GROUP_SIZES, CONFIGS, EPOCHS, STREAMS)
def test_all_streams_together_read_every_row_once(sizes, config, epoch, num_streams):
    order = EpochOrder(sizes, config, epoch, [leg(num_streams)])
    rows = Counter(all_rows(order, num_streams))
    dropped = sum(sizes) % num_streams if config.drop_remainder else 0
    assert max(rows.values(), default=1) == 1
    assert set(rows) <= set(range(sum(sizes)))
    assert len(rows) == sum(sizes) - dropped


@given(GROUP_SIZES, CONFIGS, EPOCHS, STREAMS)
def test_streams_are_of_equal_length_up_to_the_remainder(sizes, config, epoch, num_streams):
    order = EpochOrder(sizes, config, epoch, [leg(num_streams)])
    lengths = [len(rows_of(order, stream)) for stream in range(num_streams)]
    assert max(lengths) - min(lengths) <= (0 if config.drop_remainder else 1)
    assert lengths == [order.span(stream) for stream in range(num_streams)]


@given(st.data(), GROUP_SIZES, CONFIGS, EPOCHS, STREAMS)
def test_behind_any_prefix_comes_exactly_the_rest(data, sizes, config, epoch, num_streams):
    order = EpochOrder(sizes, config, epoch, [leg(num_streams)])
    stream = data.draw(st.integers(0, num_streams - 1))
    whole = rows_of(order, stream)
    taken = data.draw(st.integers(0, len(whole)))
    again = EpochOrder(sizes, config, epoch, [leg(num_streams)])
    assert rows_of(again, stream, taken) == whole[taken:]


@given(st.data(), GROUP_SIZES, CONFIGS, EPOCHS, st.lists(STREAMS, min_size=2, max_size=4))
def test_other_numbers_of_streams_go_on_with_what_is_left(data, sizes, config, epoch, numbers):
    seen, legs = [], []
    for num_streams in numbers[:-1]:
        order = EpochOrder(sizes, config, epoch, [*legs, leg(num_streams)])
        taken = [
            data.draw(st.integers(0, order.span(stream)), label="taken")
            for stream in range(num_streams)
        ]
        for stream, count in enumerate(taken):
            seen += rows_of(order, stream)[:count]
        legs.append(leg(num_streams, taken))
    left = sum(sizes) - len(seen)
    order = EpochOrder(sizes, config, epoch, [*legs, leg(numbers[-1])])
    seen += all_rows(order, numbers[-1])
    dropped = left % numbers[-1] if config.drop_remainder else 0
    assert len(set(seen)) == len(seen) == sum(sizes) - dropped


@given(GROUP_SIZES, CONFIGS, EPOCHS, STREAMS)
def test_a_buffer_holds_whole_row_groups_and_no_more_than_fit(sizes, config, epoch, num_streams):
    group_of = np.repeat(np.arange(len(sizes)), sizes)
    order = EpochOrder(sizes, config, epoch, [leg(num_streams)])
    for stream in range(num_streams):
        groups = [set(group_of[rows].tolist()) for rows in order.buffers(stream, 0)]
        # Nothing is read twice within a stream.
        assert sum(map(len, groups)) == len(set().union(*groups))
        for rows, read in zip(order.buffers(stream, 0), groups, strict=True):
            assert len(rows) <= config.buffer_rows or len(read) == 1


def test_epochs_seeds_and_streams_have_orders_of_their_own():
    def first_rows(seed, epoch, stream=0):
        config = LoadingConfig(seed=seed, buffer_rows=256)
        order = EpochOrder([64] * 100, config, epoch, [leg(2)])
        return tuple(rows_of(order, stream))

    orders = [first_rows(seed, epoch) for seed in range(3) for epoch in range(3)]
    assert len(set(orders)) == 9
    assert first_rows(0, 0) == first_rows(0, 0)


def test_rows_of_all_parts_of_the_data_set_are_mixed():
    order = EpochOrder([64] * 200, LoadingConfig(buffer_rows=512), 0, [leg(2)])
    rows = np.array(rows_of(order, 0))
    # A buffer has 8 row groups of 64. A row's successor in the file follows it once in 512 rows on
    # average, which is about 12 of 6,400.
    assert np.count_nonzero(np.diff(rows) == 1) < 30
    # The first half of one of two streams has rows of all tenths of the data set.
    assert set((rows[: len(rows) // 2] * 10 // len(rows) // 2).tolist()) == set(range(10))
    # Where a row stands says next to nothing about when it comes.
    assert abs(np.corrcoef(np.arange(len(rows)), rows)[0, 1]) < 0.3


def test_what_is_dropped_rotates_until_every_row_was_dropped_once():
    # 15 rows for 4 streams: 3 are dropped an epoch, so 5 epochs drop each of them once.
    config = LoadingConfig(drop_remainder=True, buffer_rows=4)
    dropped = Counter()
    for epoch in range(5):
        order = EpochOrder([5, 7, 3], config, epoch, [leg(4)])
        dropped.update(set(range(15)) - set(all_rows(order, 4)))
    assert dropped == dict.fromkeys(range(15), 1)


def test_more_samples_than_a_stream_has_are_refused():
    order = EpochOrder([4, 4], LoadingConfig(), 3, [leg(2)])
    with pytest.raises(InvalidInputError, match="epoch 3: 5 samples taken from stream 1, which h"):
        rows_of(order, 1, taken=5)


def test_the_order_is_the_same_with_every_version_of_numpy():
    # Known by heart: another order would make trainings that go on see samples twice.
    assert permutation(8, 1, 2).tolist() == [5, 1, 6, 2, 0, 4, 3, 7]


@given(st.integers(0, 300), st.lists(st.integers(), max_size=4))
def test_a_permutation_has_every_number_once(size, key):
    assert sorted(permutation(size, *key).tolist()) == list(range(size))


def test_permutations_are_fair():
    # 2,000 permutations of 5: each number stands in each place 400 times, give or take 18.
    counts = np.zeros((5, 5))
    for key in range(2000):
        counts[np.arange(5), permutation(5, 9, key)] += 1
    assert abs(counts - 400).max() < 90
