from pathlib import Path

import pytest

from spatialreward.data.dataset import Dataset
from spatialreward.data.packing.manifest import verify
from spatialreward.errors import InvalidInputError
from spatialreward.world.building import build_groups, build_shard, labelled_edit, merge_shards
from spatialreward.world.config import DataConfig
from spatialreward.world.drawing import draw_group, draw_sample, draw_samples, origin_of

CONFIG = DataConfig(num_train=40, num_heldout=10, num_shards=2)


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


def test_a_group_is_several_grades_of_one_task():
    group = draw_group(CONFIG, 3, 4)
    assert len({(one.instruction, one.source) for one in group}) == 1
    assert len({one.grade for one in group}) == len({one.id for one in group}) == 4
    assert draw_group(CONFIG, 3, 4) == group
    assert draw_group(CONFIG, 4, 4)[0].source != group[0].source


def test_groups_are_a_packed_data_set_that_is_built_once(tmp_path):
    build_groups(CONFIG, 2, 3, tmp_path)
    before = verify(tmp_path)
    assert len(list(Dataset(tmp_path))) == 6
    build_groups(CONFIG, 2, 3, tmp_path)
    assert verify(tmp_path) == before
    with pytest.raises(InvalidInputError, match="another data set is here, use a new folder"):
        build_groups(CONFIG, 3, 3, tmp_path)
