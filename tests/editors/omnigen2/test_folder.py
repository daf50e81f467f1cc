import json
import shutil

import pytest
from safetensors.torch import load_file, save_file

from spatialreward.editors.omnigen2.editor import OmniGen2Editor
from spatialreward.errors import InvalidInputError

WEIGHTS = "transformer/diffusion_pytorch_model.safetensors"


@pytest.fixture
def folder(omnigen2_folder, tmp_path):
    """A copy that may be changed."""
    return shutil.copytree(omnigen2_folder, tmp_path / "omnigen2")


def rewrite(path, **changes):
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def refused(folder, message):
    with pytest.raises(InvalidInputError, match=message):
        OmniGen2Editor.load(folder)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"_class_name": "FluxPipeline"}, "expected an editor for OmniGen2Pipeline, got one for F"),
        (
            {"transformer": ["diffusers", "OmniGenTransformer2DModel"]},
            "transformer: expected OmniGen2Transformer2DModel, got OmniGenTransformer2DModel",
        ),
        ({"mllm": None}, "mllm: expected Qwen2_5_VLForConditionalGeneration, got None"),
        (
            {"scheduler": ["diffusers", "DDIMScheduler"]},
            "scheduler: expected FlowMatchEulerDiscreteScheduler, got DDIMScheduler",
        ),
    ],
)
def test_a_folder_of_other_classes_is_refused(folder, changes, message):
    rewrite(folder / "model_index.json", **changes)
    refused(folder, rf"model_index\.json: {message}")


def test_a_part_of_another_class_is_refused(folder):
    rewrite(folder / "transformer" / "config.json", _class_name="FluxTransformer2DModel")
    refused(folder, "expected a OmniGen2Transformer2DModel, got a FluxTransformer2DModel")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda tensors: tensors.pop("layers.1.attn.to_q.weight"), r"lacks layers\.1\.attn\.to_q"),
        (
            lambda tensors: tensors.update(extra=tensors["x_embedder.bias"].clone()),
            "has no place for: extra",
        ),
        (
            lambda tensors: tensors.update(
                {"x_embedder.bias": tensors["x_embedder.bias"][:-1].clone()}
            ),
            r"x_embedder\.bias",
        ),
    ],
)
def test_missing_and_foreign_tensors_are_named(folder, change, message):
    tensors = load_file(folder / WEIGHTS)
    change(tensors)
    save_file(tensors, folder / WEIGHTS)
    refused(folder, message)


def test_parts_that_do_not_fit_together_are_refused(folder):
    tensors = load_file(folder / WEIGHTS)
    for name, tensor in tensors.items():
        if "caption_embedder.0" in name or "caption_embedder.1.weight" in name:
            tensors[name] = tensor[..., :16].clone()
    save_file(tensors, folder / WEIGHTS)
    rewrite(folder / "transformer" / "config.json", text_feat_dim=16)
    refused(folder, "transformer: text_feat_dim: expected 32, got 16")


def test_a_tokenizer_without_a_chat_template_is_refused(folder):
    (folder / "processor" / "chat_template.jinja").unlink()
    refused(folder, "the tokenizer has no chat template")


def test_an_older_processors_chat_template_is_found(folder):
    template = folder / "processor" / "chat_template.jinja"
    text = template.read_text()
    template.unlink()
    (folder / "processor" / "chat_template.json").write_text(json.dumps({"chat_template": text}))
    OmniGen2Editor.load(folder)


@pytest.mark.parametrize("part", ["transformer", "vae", "mllm", "processor"])
def test_a_missing_part_is_named(folder, part):
    shutil.rmtree(folder / part)
    refused(folder, part)
