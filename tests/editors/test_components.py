"""Folders that are no editor, or not all of one."""

import json
import logging
import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file

from serving.bench.stock_pipelines import picture
from spatialreward.editors.flux2_klein import KleinEditor
from spatialreward.editors.flux_kontext import KontextEditor
from spatialreward.editors.load import load_editor
from spatialreward.editors.qwen_image_edit import QwenEditor, check_source_times
from spatialreward.editors.qwen_prompts import PictureProcessor
from spatialreward.errors import InvalidInputError

WEIGHTS = "diffusion_pytorch_model.safetensors"


@pytest.fixture
def spoilt(random_editor, tmp_path):
    """Gives a copy of an editor's folder that may be damaged."""

    def copied(name):
        return shutil.copytree(random_editor(name), tmp_path / name)

    return copied


def without(path, wanted):
    """Takes tensors out of a file."""
    kept = {name: one for name, one in load_file(path).items() if not wanted(name)}
    save_file(kept, path, metadata={"format": "pt"})


def restate(path, **changes):
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def test_a_folder_of_another_editor_is_refused(random_editor, tmp_path):
    with pytest.raises(InvalidInputError, match="for FluxKontextPipeline, got one for Flux2Klein"):
        KontextEditor.load(random_editor("klein"))
    with pytest.raises(InvalidInputError, match="or QwenImageEditPlusPipeline, got one for FluxK"):
        QwenEditor.load(random_editor("kontext"))
    with pytest.raises(InvalidInputError, match=r"no editor here, expected model_index\.json"):
        KleinEditor.load(tmp_path)


def test_missing_tensors_are_named_once(spoilt, monkeypatch, caplog):
    monkeypatch.setattr(logging.getLogger("diffusers"), "propagate", True)
    folder = spoilt("kontext")
    without(folder / "transformer" / WEIGHTS, lambda name: name.startswith("proj_out."))
    with pytest.raises(InvalidInputError, match=r"transformer: lacks proj_out\.bias, proj_out\.w"):
        KontextEditor.load(folder)
    assert not caplog.records


def test_a_config_that_no_model_can_be_made_of_names_its_folder(spoilt):
    folder = spoilt("kontext")
    restate(folder / "transformer" / "config.json", num_attention_heads="many")
    with pytest.raises(InvalidInputError, match=r"kontext/transformer: "):
        KontextEditor.load(folder)


def test_missing_tensors_of_a_text_encoder_are_named(spoilt):
    folder = spoilt("klein")
    path = folder / "text_encoder" / "model.safetensors"
    without(path, lambda name: ".layers.3." in name)
    with pytest.raises(InvalidInputError, match=r"text_encoder: lacks .*layers.3.* and \d+ more"):
        KleinEditor.load(folder)


def test_tensors_without_a_place_are_named(spoilt):
    folder = spoilt("klein")
    path = folder / "transformer" / WEIGHTS
    more = load_file(path) | {"guidance.weight": torch.zeros(2)}
    save_file(more, path, metadata={"format": "pt"})
    with pytest.raises(InvalidInputError, match=r"has no place for: guidance\.weight"):
        KleinEditor.load(folder)


def test_tensors_of_another_shape_are_an_error(spoilt):
    folder = spoilt("kontext")
    restate(folder / "transformer" / "config.json", joint_attention_dim=48)
    with pytest.raises(InvalidInputError, match=r"transformer: .*context_embedder"):
        KontextEditor.load(folder)


def test_a_model_of_another_class_is_refused(spoilt, random_editor):
    folder = spoilt("kontext")
    shutil.rmtree(folder / "transformer")
    shutil.copytree(random_editor("klein") / "transformer", folder / "transformer")
    expected = "expected a FluxTransformer2DModel, got a Flux2Transformer2DModel"
    with pytest.raises(InvalidInputError, match=expected):
        KontextEditor.load(folder)


@pytest.mark.parametrize("part", ["transformer", "vae", "text_encoder", "processor", "scheduler"])
def test_a_missing_part_is_named(part, spoilt):
    folder = spoilt("qwen_edit")
    shutil.rmtree(folder / part)
    with pytest.raises(InvalidInputError, match=f"qwen_edit/{part}"):
        QwenEditor.load(folder)


def test_a_cut_off_file_is_named(spoilt):
    folder = spoilt("klein")
    path = folder / "vae" / WEIGHTS
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(InvalidInputError, match="klein/vae"):
        KleinEditor.load(folder)


def test_a_scheduler_whose_steps_are_not_the_odes_is_refused(spoilt):
    folder = spoilt("klein")
    path = folder / "scheduler" / "scheduler_config.json"
    restate(path, stochastic_sampling=True)
    with pytest.raises(InvalidInputError, match="stochastic_sampling is not supported"):
        KleinEditor.load(folder)
    restate(path, _class_name="EulerDiscreteScheduler")
    with pytest.raises(InvalidInputError, match="got a EulerDiscreteScheduler"):
        KleinEditor.load(folder)


def test_a_diffusers_that_drops_the_time_of_sources_is_refused(random_editor):
    plain = QwenEditor.load(random_editor("qwen_edit")).trainable()
    check_source_times({}, plain)
    check_source_times({"zero_cond_t": False}, plain)
    # What an old class makes of the config of Edit-2511.
    with pytest.raises(InvalidInputError, match="zero_cond_t is true, which the installed"):
        check_source_times({"zero_cond_t": True}, plain)
    newer = QwenEditor.load(random_editor("qwen_edit_plus")).trainable()
    check_source_times({"zero_cond_t": True}, newer)
    assert newer.config.zero_cond_t


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("kontext", KontextEditor),
        ("klein", KleinEditor),
        ("qwen_edit", QwenEditor),
        ("qwen_edit_plus", QwenEditor),
    ],
)
def test_an_editor_is_found_by_its_pipeline(name, kind, random_editor):
    guidance = {"true_cfg_scale": 2.5} if kind is QwenEditor else {"guidance_scale": 2.5}
    editor = load_editor(random_editor(name), settings=guidance, precision="bfloat16")
    assert isinstance(editor, kind)
    assert editor.config == kind.CONFIG(**guidance)
    assert {one.dtype for one in editor.trainable().parameters()} == {torch.bfloat16}


def test_a_processor_is_read_as_it_lies_on_the_hub(spoilt):
    folder = spoilt("qwen_edit") / "processor"
    instruction, pictures = "make it red", [picture((80, 64))]
    expected = PictureProcessor.load(folder).inputs_of(instruction, pictures, numbered=True)
    written = folder / "processor_config.json"
    stated = json.loads(written.read_text())["image_processor"]
    written.unlink()
    published = {
        "image_processor_type": "Qwen2VLImageProcessorFast",
        "processor_class": "Qwen2_5_VLProcessor",
    }
    (folder / "preprocessor_config.json").write_text(json.dumps(stated | published))
    found = PictureProcessor.load(folder).inputs_of(instruction, pictures, numbered=True)
    assert found.keys() == expected.keys()
    assert all(torch.equal(found[key], expected[key]) for key in expected)
