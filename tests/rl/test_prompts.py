import json

import pytest
from PIL import Image

from spatialreward.data.dataset import Dataset
from spatialreward.data.packing.shards import write_shard
from spatialreward.errors import InvalidInputError
from spatialreward.rl.prompts import DatasetPrompts, digest_of, open_named
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
    assert prompts.last(3) == asked[2:5]
    assert prompts.last(9) == asked[:5]


def test_tasks_of_a_file_come_in_its_order_and_again(tmp_path):
    file = write_tasks(tmp_path, 3)
    prompts = open_named(str(file), 2)
    asked = [task for step in range(3) for task in prompts.batch(step)]
    assert [task.id for task in asked] == ["0", "1", "2", "0", "1", "2"]
    assert len(prompts) == 3
    assert prompts.last(2) == asked[1:3]
    assert prompts.last(9) == asked[:3]
    assert asked[1].sources[0].getpixel((0, 0)) == (1, 0, 0)


def test_a_missing_picture_of_a_file_is_named_before_the_training_begins(tmp_path):
    file = write_tasks(tmp_path, 3)
    (tmp_path / "2.png").unlink()
    with pytest.raises(
        InvalidInputError, match=r"tasks.jsonl, line 3: source .*2.png: there is no"
    ):
        open_named(str(file), 2)


def test_prompts_on_this_disk_are_known_by_what_they_hold(edits, tmp_path):
    file = write_tasks(tmp_path, 2)
    before = digest_of(str(file))
    Image.new("RGB", (4, 4), "white").save(tmp_path / "0.png")
    assert digest_of(str(file)) != before
    (tmp_path / "data").mkdir()
    write_shard(tmp_path / "data" / "edits.parquet", edits, rows_a_group=2)
    assert digest_of(str(tmp_path / "data")) == Dataset(tmp_path / "data").digest
    assert digest_of(f"s3://bucket/data#sha256={'a' * 64}") is None


def write_tasks(folder, count):
    lines = []
    for number in range(count):
        Image.new("RGB", (4, 4), (number, 0, 0)).save(folder / f"{number}.png")
        line = {"id": str(number), "source": f"{number}.png", "instruction": "make it red"}
        lines.append(json.dumps(line))
    (folder / "tasks.jsonl").write_text("\n".join(lines))
    return folder / "tasks.jsonl"
