import pytest
import torch
from PIL import Image

from spatialreward.edits import EditTask
from spatialreward.rl.config import RlConfig
from spatialreward.rl.portions import Prompt, _spans, describe, divided, updates_of
from spatialreward.rl.seeds import Purpose, generator, normal_like, seed_of


def test_groups_are_shuffled_into_updates_for_each_step():
    config = RlConfig(num_prompts=7, group_size=2, updates_per_step=3)
    steps = [updates_of(config, step, 0, 1) for step in range(6)]
    for updates in steps:
        assert [len(one.numbers) for one in updates] == [3, 2, 2]
        assert [one.num_edits for one in updates] == [6, 4, 4]
        assert sorted(number for one in updates for number in one.numbers) == list(range(7))
    assert len({tuple(updates) for updates in steps}) == 6
    assert updates_of(config, 4, 0, 1) == steps[4]


def test_processes_divide_each_update():
    config = RlConfig(num_prompts=8, updates_per_step=2)
    whole = updates_of(config, 3, 0, 1)
    parts = [updates_of(config, 3, rank, 2) for rank in range(2)]
    for number, update in enumerate(whole):
        shares = [part[number] for part in parts]
        assert sum((one.numbers for one in shares), ()) == update.numbers
        assert all(one.num_edits == update.num_edits for one in shares)
        assert all(len(one.numbers) == 2 for one in shares)


def task(*sizes):
    return EditTask([Image.new("RGB", size) for size in sizes], "make it red", "t/1")


def test_sources_of_different_sizes_are_never_drawn_together():
    tasks = [task((8, 8)), task((8, 4)), task((8, 8)), task((8, 8), (4, 4)), task((8, 8))]
    prompts = [Prompt(number, one) for number, one in enumerate(tasks)]
    found = [tuple(one.number for one in some) for some in divided(prompts, 2)]
    assert sorted(found) == [(0, 2), (1,), (3,), (4,)]


def test_edits_are_seen_together_as_whole_groups_or_parts_of_one():
    assert list(_spans(12, 4, None)) == [(0, 12)]
    assert list(_spans(12, 4, 9)) == [(0, 8), (8, 12)]
    assert list(_spans(8, 4, 3)) == [(0, 3), (3, 4), (4, 7), (7, 8)]


def test_a_prompt_is_reported_by_number_name_and_instruction():
    assert describe(Prompt(2, task((8, 8)))) == "prompt 3 t/1 ('make it red')"


def test_numbers_follow_from_what_they_are_for():
    seeds = [seed_of(5, purpose, 1, 2) for purpose in Purpose]
    seeds += [seed_of(6, Purpose.START, 1, 2), seed_of(5, Purpose.START, 2, 1)]
    assert len(set(seeds)) == len(seeds)
    assert all(0 <= one < 2**63 for one in seeds)
    latents = torch.zeros(3, 2, 2)
    whole = normal_like(latents, [generator(seed) for seed in range(3)])
    last = normal_like(latents[:1], [generator(2)])
    assert torch.equal(whole[2:], last)
    assert float(whole.std()) == pytest.approx(1, abs=0.6)
