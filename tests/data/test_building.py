from pathlib import Path

from spatialreward.data.building import build_shard, draw_sample, draw_samples
from spatialreward.data.config import DataConfig
from spatialreward.data.samples import read_samples

CONFIG = DataConfig(num_train=40, num_heldout=10, num_shards=2)


def test_samples_are_drawn_from_any_number_on():
    endless = draw_samples(CONFIG, "train", first=5)
    assert next(endless) == draw_sample(CONFIG, "train", 5)
    assert list(draw_samples(CONFIG, "train", 2, first=6)) == [next(endless), next(endless)]


def test_a_sample_depends_on_its_number_alone(tmp_path: Path):
    for shard in range(2):
        build_shard(CONFIG, "train", shard, tmp_path)
    assert list(read_samples(tmp_path)) == [draw_sample(CONFIG, "train", k) for k in range(40)]


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
