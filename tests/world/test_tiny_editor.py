import itertools

import numpy as np
import pytest
import torch
from PIL import Image
from pydantic import ValidationError

from spatialreward.data.dataset import Dataset
from spatialreward.editors.config import DenoisingConfig
from spatialreward.editors.sampling import draw_edits
from spatialreward.edits import EditTask
from spatialreward.errors import InvalidInputError
from spatialreward.training.config import OptimiserConfig
from spatialreward.world.building import build_shard
from spatialreward.world.config import DataConfig
from spatialreward.world.editor_pretraining import pretrain_editor, stages_of
from spatialreward.world.tiny_config import (
    CodecConfig,
    EditorNetworkConfig,
    EditorPretrainingConfig,
)
from spatialreward.world.tiny_editor import TinyEditor

CONFIG = EditorPretrainingConfig(
    num_samples=12 * 8,
    codec=CodecConfig(
        num_samples=60 * 8,
        optimiser=OptimiserConfig(batch_size=8, learning_rate=2e-3, warmup_steps=2),
    ),
    network=EditorNetworkConfig(width=32, num_layers=1, num_heads=2),
    optimiser=OptimiserConfig(batch_size=8, warmup_steps=2),
)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    build_shard(DataConfig(num_train=64, num_shards=1), "train", 0, folder)
    return Dataset(folder)


def test_an_untrained_editor_leaves_the_source_as_it_is():
    editor = TinyEditor.untrained(CONFIG.network, ["make it red"] * 2, seed=1)
    pixels = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    condition = editor.encode([EditTask([Image.fromarray(pixels)], "make it red")])
    drawn = draw_edits(editor, condition, DenoisingConfig(), torch.Generator())
    assert torch.allclose(drawn, condition.source_BChw, atol=1e-4)


def test_padding_changes_nothing(editor_folder):
    editor = TinyEditor.load(editor_folder)
    picture = Image.new("RGB", (64, 64), "teal")
    short, long = EditTask([picture], "add a circle"), EditTask([picture], "add a circle " * 9)
    latents = torch.randn(2, *editor.latent_shape)
    together = editor.velocity(latents, torch.full((2,), 0.3), editor.encode([short, long]))
    alone = editor.velocity(latents[:1], torch.full((1,), 0.3), editor.encode([short]))
    assert torch.allclose(together[0], alone[0], atol=1e-5)


def test_any_instruction_and_any_size_can_be_encoded(editor_folder):
    editor = TinyEditor.load(editor_folder)
    condition = editor.encode([EditTask([Image.new("RGB", (300, 20))], "把它变成红色 " * 200)])
    assert condition.source_BChw.shape == (1, *editor.latent_shape)
    assert condition.words_BL.shape[1] <= editor.network.config.max_words


def test_pretraining_lowers_its_loss_and_goes_on_after_a_kill(data, tmp_path):
    config = CONFIG.model_copy(update={"num_samples": 300 * 8, "stage_shares": (0.1, 0.5)})
    losses = {}

    def stop_at(step_to_stop):
        def report(metrics, step):
            losses[step] = metrics.get("loss/flow_matching")
            if losses[step] and step == step_to_stop:
                raise KeyboardInterrupt

        return report

    pretrain_editor(config, data, tmp_path / "whole", stop_at(None))
    assert losses[300] < 0.8 * losses[50]
    state = tmp_path / "state.pt"
    with pytest.raises(KeyboardInterrupt):
        pretrain_editor(config, data, tmp_path / "resumed", stop_at(300), resume_file=state)
    pretrain_editor(config, data, tmp_path / "resumed", stop_at(None), resume_file=state)
    stages = [stages_of(tmp_path / name) for name in ("whole", "resumed")]
    for folders in stages:
        assert [one.name for one in folders[:2]] == ["00000030", "00000150"]
        assert len(folders) == 3
    for checkpoints in zip(*stages, strict=True):
        whole, resumed = (TinyEditor.load(folder) for folder in checkpoints)
        for one, other in itertools.zip_longest(
            whole.network.parameters(), resumed.network.parameters()
        ):
            assert torch.allclose(one, other, atol=1e-6)
    early, late = (TinyEditor.load(folder).network.change.weight for folder in stages[0][1:])
    assert not torch.allclose(early, late)


def test_an_editor_without_earlier_stages_is_its_only_one(editor_folder):
    assert stages_of(editor_folder) == [editor_folder]


@pytest.mark.parametrize("shares", [(0.5, 0.3), (0.5, 0.51), (0.01,), (0.99,)])
def test_stages_that_are_no_steps_of_their_own_are_refused(shares):
    with pytest.raises(ValidationError, match="of 12 steps: expected ascending ones"):
        EditorPretrainingConfig.model_validate(CONFIG.model_dump() | {"stage_shares": shares})


def test_a_folder_without_an_editor_is_named(tmp_path):
    with pytest.raises(InvalidInputError, match=r"no editor here, expected editor\.json"):
        TinyEditor.load(tmp_path)
