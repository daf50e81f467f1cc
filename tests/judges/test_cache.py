import torch

from spatialreward.judges.qwen_vl.cache import BlockCache


def states(*rows):
    """Keys of one head of size one: ``[rows, 1, length, 1]``."""
    return torch.tensor(rows, dtype=torch.float32)[:, None, :, None]


def filled(*rows):
    cache = BlockCache()
    cache.update(states(*rows), states(*rows), 0)
    return cache


def keys(cache):
    layer = cache.layers[0]
    return layer.keys[:, 0, : layer.get_seq_length(), 0].tolist()


def test_tokens_are_appended_beyond_the_first_room():
    cache = filled([0.0])
    for number in range(1, 100):
        cache.update(states([float(number)]), states([float(number)]), 0)
    assert keys(cache) == [[float(number) for number in range(100)]]


def test_a_single_token_sees_the_room_behind_it_as_zeros_in_one_piece():
    cache = filled([1.0, 2.0])
    capacity = cache.reserve_one()
    seen, _ = cache.update(states([3.0]), states([3.0]), 0)
    assert seen.is_contiguous()
    assert seen[0, 0, :, 0].tolist() == [1.0, 2.0, 3.0] + [0.0] * (capacity - 3)


def test_one_prompt_serves_several_rows_and_unused_columns_go():
    cache = filled([1.0, 2.0, 3.0], [4.0, 5.0, 6.0])
    cache.select(torch.tensor([1, 1, 0]), start=1)
    assert keys(cache) == [[5.0, 6.0], [5.0, 6.0], [2.0, 3.0]]


def test_rows_of_different_lengths_end_in_the_same_column():
    cache = filled([1.0, 2.0, 3.0])
    cache.join(filled([7.0], [8.0]))
    assert keys(cache) == [[1.0, 2.0, 3.0], [0.0, 0.0, 7.0], [0.0, 0.0, 8.0]]
    longer = filled([1.0])
    longer.join(filled([7.0, 8.0]))
    assert keys(longer) == [[0.0, 1.0], [7.0, 8.0]]
