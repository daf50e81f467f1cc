import json
import shutil
from pathlib import Path

import pytest
import torch
import typer

import spatialreward
from components.editor_evaluation import steps as evaluation
from components.rl_finetuning import steps
from components.rl_finetuning.__main__ import app
from components.rl_finetuning.steps import TaskData, draw_edits, import_editor, pretrain_editor
from spatialreward.artifacts import ArtifactRef
from spatialreward.benchmarks.config import EditorEvaluationConfig
from spatialreward.data.dataset import DatasetRef
from spatialreward.editors.adapters import LoraCard
from spatialreward.editors.config import DenoisingConfig, LoraConfig, SamplingConfig
from spatialreward.editors.lora_files import LORA_FILE
from spatialreward.errors import InvalidInputError
from spatialreward.ops.config import (
    ArtifactBase,
    EditDrawingStep,
    EditorEvaluationStep,
    EditorImportStep,
    EditorPretrainingStep,
    EditorRlStep,
    FolderBase,
    PublishedEditor,
    TinyEditorConfig,
)
from spatialreward.ops.tracking import EXPERIMENT
from spatialreward.rl.config import RlConfig
from spatialreward.rl.reward_config import RewardConfig
from spatialreward.rl.watch_config import WatchConfig
from spatialreward.storage import ObjectStore
from spatialreward.training.config import OptimiserConfig
from spatialreward.world.building import build_shard
from spatialreward.world.config import DataConfig
from spatialreward.world.oracle_judge import Oracle
from spatialreward.world.random_omnigen2 import write_omnigen2
from spatialreward.world.tiny_config import (
    CodecConfig,
    DrawingConfig,
    EditorNetworkConfig,
    EditorPretrainingConfig,
)
from spatialreward.world.tiny_editor import TinyEditor

ROOT = Path(spatialreward.__file__).parents[1]
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


class Served:
    """Where the pipeline asks a server, the test asks the oracle."""

    @staticmethod
    def from_environment():
        return Oracle()


def test_an_editor_is_fine_tuned_under_watch(data, client, monkeypatch, tmp_path):
    monkeypatch.setattr(steps, "TritonJudge", Served)
    pretraining = EditorPretrainingStep(editor=TinyEditorConfig(pretraining=PRETRAINING))
    editor = pretrain_editor(pretraining, data, "")
    rl = RlConfig(
        num_steps=1,
        num_prompts=2,
        group_size=2,
        sampling=SamplingConfig(num_denoising_steps=2),
        watch=WatchConfig(num_prompts=2, group_size=2),
    )
    tuned = steps.finetune_editor(EditorRlStep(rl=rl, world=WORLD), editor, editor, "", TaskData())
    experiment = client.get_experiment_by_name(EXPERIMENT).experiment_id
    (run,) = client.search_runs([experiment], "attributes.run_name = 'finetune-editor'")
    metrics = run.data.metrics
    assert {"reward/mean", "watch/oracle_reward", "regions/mean_count"} <= metrics.keys()
    assert any(name.startswith("operation/") for name in metrics)
    sheets = [one.path for one in client.list_artifacts(run.info.run_id, "watch")]
    assert sheets == ["watch/step-00000.png", "watch/step-00001.png"]
    store = ObjectStore.from_environment()
    folder = store.fetch_folder(ArtifactRef.parse(tuned), tmp_path / "tuned")
    assert {"README.md", "card.json", "curves.png"} <= {path.name for path in folder.iterdir()}


def finetuning(processes):
    rl = RlConfig(
        num_steps=1,
        num_prompts=4,
        group_size=2,
        groups_at_a_time=1,
        rewards=(RewardConfig(judge="oracle"),),
        min_spread=0,  # edits of an editor that has learnt nothing are alike
        learning_rate=1e-2,
        sampling=SamplingConfig(num_denoising_steps=2),
        processes=processes,
    )
    return EditorRlStep(rl=rl, world=WORLD)


@pytest.mark.slow
def test_two_processes_of_one_machine_make_the_editor_that_one_makes(
    data, client, editor_folder, monkeypatch, tmp_path
):
    # The reward names its judge, so none is asked there.
    monkeypatch.setenv("TRITON_GRPC_URL", "localhost:1")
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    store = ObjectStore.from_environment()
    editor = str(store.put_folder(editor_folder, "s3://spatialreward/artifacts/test"))
    made = {}
    for processes in (1, 2):
        # Without held-out tasks there is no watch, which would keep the editor of the first look.
        given = (editor, editor, "", TaskData(data))
        tuned = steps.finetune_editor(finetuning(processes), *given)
        # It is found done, and no process is started.
        assert steps.finetune_editor(finetuning(processes), *given) == tuned
        folder = store.fetch_folder(ArtifactRef.parse(tuned), tmp_path / str(processes))
        card = json.loads((folder / "card.json").read_bytes())
        assert card["training_processes"] == processes
        assert card["lineage"]["prompts"] == data
        experiment = client.get_experiment_by_name(EXPERIMENT).experiment_id
        wanted = f"params.`rl.processes` = '{processes}' and tags.`output.editor` = '{tuned}'"
        runs = client.search_runs([experiment], wanted, order_by=["attributes.start_time"])
        (run,) = [one for one in runs if "reused" not in one.data.tags]
        curves = [one.path for one in client.list_artifacts(run.info.run_id, "curves")]
        assert curves == ["curves/served_reward.png"]
        made[processes] = (run.data.metrics, TinyEditor.load(folder).network.state_dict())
    (alone, expected), (together, found) = made[1], made[2]
    assert together["reward/num_judged"] == alone["reward/num_judged"] == 8
    for name in ("reward/mean", "policy/gradient_norm"):
        assert together[name] == pytest.approx(alone[name], rel=1e-3), name
    start = TinyEditor.load(editor_folder).network.state_dict()
    assert max((expected[name] - start[name]).abs().max() for name in start) > 5e-4
    for name, weight in found.items():
        torch.testing.assert_close(weight, expected[name], rtol=0, atol=1e-4)


def test_each_process_gets_the_step_as_its_command():
    config, asked = finetuning(2), TaskData(heldout="s3://bucket/h#sha256=" + "1" * 64)
    step = steps.finetuning_step(config, "s3://bucket/e#sha256=0", "s3://bucket/j#sha256=0", asked)
    name, *arguments = step.command("parent")
    context = typer.main.get_command(app).commands[name].make_context(name, arguments)
    assert EditorRlStep.model_validate_json(context.params.pop("config")) == config
    assert context.params == {
        "editor": "s3://bucket/e#sha256=0",
        "served": "s3://bucket/j#sha256=0",
        "data": "",
        "heldout": asked.heldout,
        "parent_run_id": "parent",
    }


@pytest.fixture(scope="module")
def omnigen2(tmp_path_factory):
    """The folder of an editor of OmniGen2's classes, of random weights; not to be changed."""
    folder = tmp_path_factory.mktemp("editors") / "omnigen2"
    write_omnigen2(folder)
    return folder


def published(base):
    return PublishedEditor(base=base, precision="float32", lora=LoraConfig(rank=2))


def test_a_published_editor_is_taken_fine_tuned_and_compared(data, omnigen2, monkeypatch, tmp_path):
    for module in (steps, evaluation):
        monkeypatch.setattr(module, "TritonJudge", Served)
    editor = published(FolderBase(folder=omnigen2))
    base = import_editor(EditorImportStep(editor=editor), "")
    stored = published(ArtifactBase(reference=base))
    assert import_editor(EditorImportStep(editor=stored), "") == base
    sampling = SamplingConfig(num_denoising_steps=2)
    watch = WatchConfig(num_prompts=1, group_size=2)
    rl = RlConfig(num_steps=1, num_prompts=2, group_size=2, sampling=sampling, watch=watch)
    adapted = {"world": WORLD, "adaptation": editor.adaptation}
    config = EditorRlStep(rl=rl, base_name="hub:OmniGen2/OmniGen2@0123", **adapted)
    tuned = steps.finetune_editor(config, base, base, "", TaskData(data, data))
    folder = ObjectStore.from_environment().fetch_folder(
        ArtifactRef.parse(tuned), tmp_path / "lora"
    )
    assert (folder / LORA_FILE).is_file()
    about = LoraCard.read(folder)
    assert (about.base.name, about.lora.rank) == ("hub:OmniGen2/OmniGen2@0123", 2)
    lineage = json.loads((folder / "card.json").read_bytes())["lineage"]
    assert lineage == {
        "base": "hub:OmniGen2/OmniGen2@0123",
        "judge": base,
        "prompts": data,
        "watched": data,
    }
    comparing = EditorEvaluationConfig(
        num_instructions=2, denoising=DenoisingConfig(num_denoising_steps=2)
    )
    config = EditorEvaluationStep(evaluation=comparing, **adapted)
    answer = json.loads(evaluation.compare_editors(config, base, tuned, base, data, ""))
    assert {"gain", "served_reward_before", "served_reward_after"} <= answer["editor"].keys()
    assert "oracle_reward_before" not in answer["editor"]
    assert answer["agreement"] == {}


def test_what_is_no_whole_editor_is_named_when_it_is_taken(client, omnigen2, monkeypatch, tmp_path):
    monkeypatch.setenv("SPATIALREWARD_WORK_DIR", str(tmp_path / "work"))

    def refused(folder, message):
        step = EditorImportStep(editor=published(FolderBase(folder=folder)))
        with pytest.raises(InvalidInputError, match=message):
            import_editor(step, "")

    refused(tmp_path / "nowhere", "editor .*/nowhere: there is no such folder")
    lora = tmp_path / "lora"
    lora.mkdir()
    (lora / LORA_FILE).touch()
    refused(lora, "editor .*/lora: holds a LoRA alone, expected a whole editor")
    damaged = shutil.copytree(omnigen2, tmp_path / "damaged")
    shutil.rmtree(damaged / "vae")
    refused(damaged, "damaged/vae")
