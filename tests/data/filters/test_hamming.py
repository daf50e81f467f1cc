import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from spatialreward.data.filters.hamming import EditHashes, earlier_twins, nearest

# Hashes near to one of a few, as those of a data set are: random ones would never be near.
CENTRES = (0, 2**64 - 1, 0x0123456789ABCDEF)
FLIPS = st.lists(st.integers(0, 63), max_size=6)
HASHES = st.builds(
    lambda centre, flips: centre ^ sum(1 << bit for bit in set(flips)),
    st.sampled_from(CENTRES),
    FLIPS,
)
EDITS = st.lists(st.tuples(st.integers(0, 1), st.tuples(HASHES, HASHES), HASHES), max_size=24)


def bits(one: int, other: int) -> int:
    return (one ^ other).bit_count()


def twins_by_comparing_all(edits: list, source_bits: int, edited_bits: int) -> list[int]:
    staying: list[int] = []
    twins = []
    for row, (group, sources, edited) in enumerate(edits):
        near = [
            other
            for other in staying
            if edits[other][0] == group
            and all(bits(*pair) <= source_bits for pair in zip(edits[other][1], sources))  # noqa: B905
            and bits(edits[other][2], edited) <= edited_bits
        ]
        twins.append(near[0] if near else -1)
        staying += [] if near else [row]
    return twins


def hashes_of(edits: list) -> EditHashes:
    return EditHashes(
        np.array([group for group, _, _ in edits], dtype=np.uint64),
        np.array([sources for _, sources, _ in edits], dtype=np.uint64).reshape(-1, 2),
        np.array([edited for _, _, edited in edits], dtype=np.uint64),
    )


@settings(max_examples=200)
@given(EDITS, st.integers(0, 6), st.integers(0, 6))
def test_banded_search_finds_what_comparing_all_finds(edits, source_bits, edited_bits):
    found = earlier_twins(hashes_of(edits), source_bits, edited_bits)
    assert found.tolist() == twins_by_comparing_all(edits, source_bits, edited_bits)


@settings(max_examples=200)
@given(st.lists(HASHES, max_size=20), st.lists(HASHES, max_size=20), st.integers(0, 10))
def test_the_nearest_reference_is_the_one_that_comparing_all_finds(queries, references, most):
    found = nearest(np.array(queries, dtype=np.uint64), np.array(references, dtype=np.uint64), most)
    for query, number in zip(queries, found.tolist(), strict=True):
        within = [(bits(query, other), at) for at, other in enumerate(references)]
        within = [pair for pair in within if pair[0] <= most]
        assert number == (min(within)[1] if within else -1)


def test_pairs_that_do_not_fit_one_step_are_all_compared(monkeypatch):
    monkeypatch.setattr("spatialreward.data.filters.hamming._PAIRS_AT_ONCE", 3)
    queries = np.arange(8, dtype=np.uint64)
    references = np.array([7, 6, 5, 4, 3, 2, 1, 0], dtype=np.uint64)
    assert nearest(queries, references, 0).tolist() == [7, 6, 5, 4, 3, 2, 1, 0]


def test_a_row_near_only_to_one_that_went_stays():
    edits = [(0, (0b000, 0), 0), (0, (0b011, 0), 0), (0, (0b1111, 0), 0)]
    assert earlier_twins(hashes_of(edits), 2, 0).tolist() == [-1, 0, -1]


def test_rows_of_different_groups_are_never_twins():
    edits = [(0, (5, 5), 5), (1, (5, 5), 5)]
    assert earlier_twins(hashes_of(edits), 4, 4).tolist() == [-1, -1]


def test_groups_are_distinguished_where_their_buckets_coincide():
    # A bucket's code is the same for group 0 with band 1 and for group 1 with band 0.
    edits = [(0, (1, 0), 0), (1, (0, 0), 0)]
    assert earlier_twins(hashes_of(edits), 1, 0).tolist() == [-1, -1]
