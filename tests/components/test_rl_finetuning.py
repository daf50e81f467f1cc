import pytest

from components.rl_finetuning.steps import draw_edits, pretrain_editor
from spatialreward.data.dataset import DatasetRef
from spatialreward.editors.config import DenoisingConfig
from spatialreward.ops.config import EditDrawingStep, EditorPretrainingStep, TinyEditorConfig
from spatialreward.storage import ObjectStore
from spatialreward.training.config import OptimiserConfig
from spatialreward.world.building import build_shard
from spatialreward.world.config import DataConfig
from spatialreward.world.tiny_config import (
    CodecConfig,
    DrawingConfig,
    EditorNetworkConfig,
    EditorPretrainingConfig,
)

WORLD = DataConfig(num_train=8, num_shards=1)
FEW = OptimiserConfig(batch_size=4, warmup_steps=1)
PRETRAINING = EditorPretrainingConfig(
    num_samples=8,
    stage_shares=(0.5,),
    codec=CodecConfig(num_samples=8, optimiser=FEW),
    network=EditorNetworkConfig(width=32, num_layers=1, num_heads=2),
    optimiser=FEW,
)
DRAWING = DrawingConfig(num_edits=2, group_size=1, denoising=DenoisingConfig(num_denoising_steps=2))


@pytest.fixture
def data(client, tmp_path, monkeypatch):
    monkeypatch.setenv("SPATIALREWARD_WORK_DIR", str(tmp_path / "work"))
    store = ObjectStore.from_environment()
    store.ensure_bucket("spatialreward")
    build_shard(WORLD, "train", 0, tmp_path / "data")
    return str(store.put_folder(tmp_path / "data", "s3://spatialreward/artifacts/test"))


def test_each_stage_of_a_pretrained_editor_draws_its_part_and_is_found_done(data):
    pretraining = EditorPretrainingStep(editor=TinyEditorConfig(pretraining=PRETRAINING))
    editor = pretrain_editor(pretraining, data, "")
    drawing = EditDrawingStep(drawing=DRAWING, world=WORLD)
    drawn = draw_edits(drawing, editor, "")
    assert draw_edits(drawing, editor, "") == drawn
    edits = DatasetRef.parse(drawn).open()
    assert len(edits) == edits.num_labelled == edits.count("truth") == 2
