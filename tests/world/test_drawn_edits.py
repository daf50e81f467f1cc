import pytest

from spatialreward.data.dataset import Dataset
from spatialreward.data.views import sft_conversations
from spatialreward.editors.config import DenoisingConfig
from spatialreward.protocol.prompts import TINY
from spatialreward.training.conversations import answer_of
from spatialreward.world.building import build_shard
from spatialreward.world.config import DataConfig
from spatialreward.world.drawn_edits import draw_data_set
from spatialreward.world.labelling import scene_sample
from spatialreward.world.oracle import oracle_judgement
from spatialreward.world.tiny_config import DrawingConfig
from spatialreward.world.tiny_editor import TinyEditor

WORLD = DataConfig(seed=21, num_train=8, num_shards=1)
CONFIG = DrawingConfig(num_edits=5, group_size=2, denoising=DenoisingConfig(num_denoising_steps=2))


@pytest.fixture(scope="module")
def drawn(editor_folder, tmp_path_factory):
    folder = tmp_path_factory.mktemp("drawn")
    assert draw_data_set(CONFIG, WORLD, [editor_folder], folder) == 5
    return Dataset(folder)


def test_drawn_edits_come_back_with_label_and_truth(drawn):
    assert len(drawn) == drawn.num_labelled == drawn.count("truth") == 5
    for edit in drawn:
        sample = scene_sample(edit)
        read = oracle_judgement(sample.world, edit.edited_image())
        assert sample.truth.scores == edit.label.scores == read.scores
        assert sample.truth.regions == edit.label.regions == read.regions
        assert sample.grade == edit.given["grade"] == "drawn"
        assert sample.world.edited is None


def test_edits_of_a_group_have_one_task_and_noise_of_their_own(drawn):
    edits = list(drawn)
    tasks = [(edit.sources, edit.instruction) for edit in edits]
    assert tasks[0] == tasks[1] != tasks[2] == tasks[3] != tasks[4]
    assert len({edit.edited for edit in edits}) == 5
    assert len({edit.id for edit in edits}) == 5


def test_no_painted_edit_has_the_source_of_a_drawn_one(drawn, tmp_path):
    build_shard(WORLD, "train", 0, tmp_path / "train")
    build_shard(WORLD, "heldout", 0, tmp_path / "heldout")
    painted = [*Dataset(tmp_path / "train"), *Dataset(tmp_path / "heldout")]
    assert not {edit.sources for edit in painted} & {edit.sources for edit in drawn}


def test_the_same_editor_draws_the_same_again(drawn, editor_folder, tmp_path):
    draw_data_set(CONFIG, WORLD, [editor_folder], tmp_path)
    assert Dataset(tmp_path).digest == drawn.digest


def test_stages_draw_a_group_each_in_turn(drawn, editor_folder, tmp_path):
    editor = TinyEditor.load(editor_folder)
    idle = TinyEditor.untrained(editor.network.config, ["add a circle"] * 2, seed=1)
    idle.save(tmp_path / "idle", {})
    draw_data_set(CONFIG, WORLD, [tmp_path / "idle", editor_folder], tmp_path / "edits")
    same = [
        one.edited == other.edited
        for one, other in zip(drawn, Dataset(tmp_path / "edits"), strict=True)
    ]
    assert same == [False, False, True, True, False]


def test_a_judge_can_learn_from_drawn_edits(drawn):
    taught = [one for edit in drawn for one in sft_conversations(edit, TINY)]
    assert [one.stream for one in taught] == ["sc", "pq"] * 5
    assert all('"score"' in answer_of(one) for one in taught)
