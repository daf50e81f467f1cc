from spatialreward.rl.config import RlConfig
from spatialreward.rl.prompts import DatasetPrompts
from spatialreward.world.building import build_shard
from spatialreward.world.config import DataConfig
from spatialreward.world.prompts import WorldPrompts, open_prompts

WORLD = DataConfig(seed=21, num_train=3, num_shards=1)


def test_tasks_are_those_of_the_data_set_that_is_named_or_the_worlds(tmp_path):
    drawn = open_prompts(RlConfig(num_prompts=2), WORLD)
    assert isinstance(drawn, WorldPrompts)
    assert len(drawn.batch(0)) == 2
    build_shard(WORLD, "train", 0, tmp_path)
    read = open_prompts(RlConfig(num_prompts=2, prompts=str(tmp_path)), WORLD)
    assert isinstance(read, DatasetPrompts)
    assert [task.id for task in read.batch(0)] != [task.id for task in drawn.batch(0)]
