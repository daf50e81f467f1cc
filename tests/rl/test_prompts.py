import pytest

from spatialreward.data.dataset import Dataset
from spatialreward.data.packing.shards import write_shard
from spatialreward.rl.prompts import DatasetPrompts
from spatialreward.world.config import DataConfig
from spatialreward.world.drawing import draw_sample
from spatialreward.world.prompts import WorldPrompts
from tests.data.packing.making import make_edit, make_prompt

WORLD = DataConfig(seed=21)


def test_the_worlds_prompts_are_the_samples_far_behind_those_to_train_on():
    prompts = WorldPrompts(WORLD, 2)
    for step in (0, 3):
        for place, task in enumerate(prompts.batch(step)):
            sample = draw_sample(WORLD, "train", 10_000_000 + 2 * step + place)
            assert (task.id, task.sources) == (sample.id, sample.images()[:1])
            assert task.instruction == sample.instruction
            kinds = {operation.kind for operation in sample.world.operations}
            assert set(task.operation.split("+")) == kinds


@pytest.fixture
def edits():
    """Edits and prompts alike: a source and an instruction is all that is asked for."""
    return [make_edit(0), make_prompt(1), make_edit(2), make_prompt(3), make_prompt(4)]


def test_a_data_sets_prompts_come_in_its_order_and_again(edits, tmp_path):
    write_shard(tmp_path / "edits.parquet", edits, rows_a_group=2)
    prompts = DatasetPrompts(Dataset(tmp_path), 2)
    asked = [task for step in range(4) for task in prompts.batch(step)]
    again = [*edits, *edits[:3]]
    assert [task.instruction for task in asked] == [edit.instruction for edit in again]
    assert [task.sources for task in asked] == [edit.source_images() for edit in again]
    assert [task.id for task in asked] == [edit.id for edit in again]
    assert [task.operation for task in asked] == [edit.operation for edit in again]
    assert prompts.batch(1) == asked[2:4]
