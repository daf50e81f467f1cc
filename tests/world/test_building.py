import itertools
from pathlib import Path

import pytest

from spatialreward.data.dataset import Dataset
from spatialreward.data.packing.manifest import verify
from spatialreward.errors import InvalidInputError
from spatialreward.world.building import build_groups, build_shard, labelled_edit, merge_shards
from spatialreward.world.config import DataConfig
from spatialreward.world.drawing import draw_sample, draw_samples, origin_of

CONFIG = DataConfig(num_train=40, num_heldout=10, num_shards=2)
SEVERAL = CONFIG.model_copy(update={"candidates": (2, 3, 4)})


@pytest.fixture(scope="module")
def shards(tmp_path_factory):
    folders = [tmp_path_factory.mktemp("shard") for _ in range(2)]
    for number, folder in enumerate(folders):
        assert build_shard(CONFIG, "train", number, folder) == 20
    return folders


def test_samples_are_drawn_from_any_number_on():
    endless = draw_samples(CONFIG, "train", first=5)
    assert next(endless) == draw_sample(CONFIG, "train", 5)
    assert list(draw_samples(CONFIG, "train", 2, first=6)) == [next(endless), next(endless)]


def test_a_sample_depends_on_its_number_alone(shards, tmp_path: Path):
    merge_shards(shards, tmp_path)
    assert list(Dataset(tmp_path)) == [
        labelled_edit(draw_sample(CONFIG, "train", number), origin_of(CONFIG, "train", number))
        for number in range(40)
    ]


def test_merged_shards_are_a_packed_data_set(shards, tmp_path: Path):
    merged = merge_shards(shards, tmp_path)
    assert verify(tmp_path) == merged
    assert [shard.name for shard in merged.shards] == [f"train-{n:05d}.parquet" for n in range(2)]
    assert (merged.counts["edits"], merged.counts["annotated"]) == (40, 40)
    assert merged.config == {"split": "train", "world": CONFIG.model_dump(mode="json")}


def test_shards_of_one_name_or_of_other_settings_are_not_merged(shards, tmp_path: Path):
    with pytest.raises(InvalidInputError, match=r"train-00000\.parquet: two shards have this name"):
        merge_shards([shards[0], shards[0]], tmp_path / "out")
    other = tmp_path / "other"
    build_shard(CONFIG.model_copy(update={"seed": 2}), "train", 1, other)
    with pytest.raises(InvalidInputError, match="other: was drawn with other settings"):
        merge_shards([shards[0], other], tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_shard_has_a_folder_of_its_own(shards):
    with pytest.raises(InvalidInputError, match=r"another data set .* expected train-00001"):
        build_shard(CONFIG, "train", 1, shards[0])


def test_more_shards_than_edits_are_refused(tmp_path: Path):
    few = DataConfig(num_train=1, num_shards=2)
    with pytest.raises(InvalidInputError, match="num_shards = 2: train has 1 edits"):
        build_shard(few, "train", 0, tmp_path)


def test_untouched_edits_have_no_regions_and_no_success():
    samples = [draw_sample(CONFIG, "train", number) for number in range(200)]
    untouched = [sample.truth for sample in samples if sample.grade == "untouched"]
    assert untouched
    assert all(truth.changes == () for truth in untouched)
    assert {truth.scores.editing_success for truth in untouched} == {0.0}


def test_right_edits_have_full_success_and_no_extra_change():
    samples = [draw_sample(CONFIG, "train", number) for number in range(200)]
    right = [sample.truth.scores for sample in samples if sample.grade == "right"]
    assert {scores.editing_success for scores in right} == {25.0}
    assert {scores.over_editing for scores in right} == {25.0}


def test_edits_of_one_task_share_source_and_instruction_and_differ_in_grade():
    samples = [draw_sample(SEVERAL, "train", number) for number in range(18)]
    sizes = (2, 3, 4, 2, 3, 4)
    ends = list(itertools.accumulate(sizes))
    for end, size in zip(ends, sizes, strict=True):
        task = samples[end - size : end]
        assert len({(one.source, one.instruction) for one in task}) == 1
        assert len({one.grade for one in task}) == size
    assert len({one.source for one in samples}) == len(sizes)


def test_the_first_edit_of_each_task_is_what_it_is_alone():
    firsts = [draw_sample(SEVERAL, "train", number) for number in (0, 2, 5)]
    alone = [draw_sample(CONFIG, "train", number) for number in range(3)]
    assert [one.edited for one in firsts] == [one.edited for one in alone]


def test_all_edits_of_a_task_are_of_the_only_grade_that_there_is():
    grades = {**dict.fromkeys(CONFIG.grades, 0.0), "right": 1.0}
    world = SEVERAL.model_copy(update={"grades": grades})
    assert {draw_sample(world, "train", number).grade for number in range(9)} == {"right"}


def test_shares_of_small_objects_and_of_two_things_asked_for():
    world = CONFIG.model_copy(update={"small_share": 1.0, "two_share": 1.0})
    samples = [draw_sample(world, "train", number) for number in range(10)]
    assert all(
        thing.size == "small"
        for sample in samples
        for thing in sample.world.source.objects.values()
    )
    assert all(len(sample.world.operations) == 2 for sample in samples)


def test_groups_are_a_packed_data_set_that_is_built_once(tmp_path):
    build_groups(CONFIG, 2, 3, tmp_path)
    before = verify(tmp_path)
    assert len(list(Dataset(tmp_path))) == 6
    build_groups(CONFIG, 2, 3, tmp_path)
    assert verify(tmp_path) == before
    with pytest.raises(InvalidInputError, match="another data set is here, use a new folder"):
        build_groups(CONFIG, 3, 3, tmp_path)
