import pytest

from spatialreward.data.corpus.running import build_corpus
from spatialreward.data.dataset import Dataset
from spatialreward.data.edits import RowOrigin
from spatialreward.data.tasks import task_of
from spatialreward.errors import InvalidInputError
from spatialreward.world.building import labelled_edit
from spatialreward.world.config import DataConfig
from spatialreward.world.drawing import draw_sample, origin_of
from spatialreward.world.labelling import edit_task, known_world, scene_sample
from tests.data.corpus.made import settings

WORLD = DataConfig(seed=4)


@pytest.fixture(scope="module")
def sample():
    return draw_sample(WORLD, "train", 7)


@pytest.fixture
def edit(sample):
    return labelled_edit(sample, RowOrigin(file="test", row="7"))


def test_a_sample_comes_back_from_the_edit_that_it_was_made_into(sample, edit):
    assert scene_sample(edit) == sample


def test_the_label_says_what_the_truth_says(sample, edit):
    assert edit.label.regions == edit.given_regions == sample.truth.regions
    assert edit.label.scores == sample.truth.scores
    assert edit.given["grade"] == sample.grade


@pytest.mark.parametrize("truth", ["{}", "not JSON", '{"made_by": "another world"}'])
def test_a_truth_of_another_source_is_named(edit, truth):
    other = edit.model_copy(update={"truth": truth})
    with pytest.raises(InvalidInputError, match=f"edit {edit.id}: truth: is none of the generated"):
        scene_sample(other)


def test_an_edit_without_a_truth_is_named(edit):
    with pytest.raises(InvalidInputError, match=f"^edit {edit.id}: truth: missing, expected"):
        scene_sample(edit.model_copy(update={"truth": None}))


def test_a_task_is_the_same_from_the_sample_and_from_its_edit(sample, edit):
    assert edit_task(sample) == task_of(edit)
    assert known_world(edit_task(sample).truth) == sample.world


def test_a_build_from_the_world_packs_the_same_edits(tmp_path):
    world = {"kind": "world", "count": 6, "data": WORLD.model_dump()}
    build_corpus(settings(source=world, num_shards=2, max_reject_share=1.0), tmp_path)
    packed = list(Dataset(tmp_path))
    assert packed
    for edit in packed:
        origin = origin_of(WORLD, "train", int(edit.origin.row))
        assert edit == labelled_edit(draw_sample(WORLD, "train", int(edit.origin.row)), origin)
