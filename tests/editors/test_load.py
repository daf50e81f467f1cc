import json
import shutil

import pytest
from diffusers import FluxTransformer2DModel

from spatialreward.editors.adapters import CARD_FILE, LoraCard, lora_tensors
from spatialreward.editors.config import AdaptationConfig, LoraConfig
from spatialreward.editors.load import PIPELINES, load_editor, open_editor, open_policy
from spatialreward.editors.lora_files import LORA_FILE
from spatialreward.errors import InvalidInputError
from spatialreward.world.tiny_editor import TinyEditor


def refused(message, *given, **options):
    with pytest.raises(InvalidInputError, match=message):
        load_editor(*given, **options)


def test_the_tiny_editor_is_found_by_its_file(editor_folder):
    assert isinstance(load_editor(editor_folder), TinyEditor)
    refused(
        "the tiny editor has no settings, got text_guidance",
        editor_folder,
        settings={"text_guidance": 2},
    )
    refused("holds no LoRA, so it has no base", editor_folder, base=editor_folder)


def test_a_folder_without_an_editor_says_what_was_expected(tmp_path):
    refused(r"no editor here, expected model_index\.json, .*, or|expected model_index", tmp_path)
    (tmp_path / "editor").mkdir()
    (tmp_path / "editor" / "editor.json").write_text("{}")
    refused(rf"no editor here, .* editor\.json; there is one in {tmp_path}/editor$", tmp_path)
    (tmp_path / "model_index.json").write_text(json.dumps({"_class_name": "FluxFillPipeline"}))
    refused(r"_class_name: expected one of .*, got FluxFillPipeline", tmp_path)


@pytest.mark.parametrize("pipeline", PIPELINES)
def test_every_pipelines_editor_is_there(pipeline, tmp_path):
    (tmp_path / "model_index.json").write_text(json.dumps({"_class_name": pipeline}))
    refused(r"settings of \w+Editor: nonsense: ", tmp_path, settings={"nonsense": 1})


def write_lora(folder, base):
    folder.mkdir()
    (folder / LORA_FILE).touch()
    adapter = {
        "transformer": FluxTransformer2DModel.__name__,
        "base": {"name": base, "sha256": "0" * 64},
        "lora": {"targets": ["to_q"]},
    }
    (folder / CARD_FILE).write_text(json.dumps({"adapter": adapter}))


@pytest.mark.parametrize("base", ["hub:OmniGen2/OmniGen2@0123abc", "/nowhere/omnigen2"])
def test_a_loras_base_that_is_not_here_has_to_be_named(base, tmp_path):
    write_lora(tmp_path / "lora", base)
    refused(f"its base is {base}, which is not here; name the base", tmp_path / "lora")


def test_the_base_of_a_lora_without_a_card_has_to_be_named(tmp_path):
    write_lora(tmp_path / "lora", "")
    (tmp_path / "lora" / CARD_FILE).unlink()
    refused(r"no card\.json, which names the LoRA's base; name the base", tmp_path / "lora")


def test_a_lora_is_none_of_the_tiny_editors(editor_folder, tmp_path):
    base = shutil.copytree(editor_folder, tmp_path / "base")
    write_lora(tmp_path / "lora", str(base))
    refused("this editor takes no LoRA", tmp_path / "lora")


def test_rl_gets_a_published_editor_with_a_fresh_lora(random_editor, tmp_path):
    base = random_editor("kontext")
    config = AdaptationConfig(precision="float32", lora=LoraConfig(rank=2))
    policy = open_policy(base, config, name="hub:owner/kontext@0123")
    weights = dict(policy.trainable().named_parameters())
    trained = {name for name, weight in weights.items() if weight.requires_grad}
    assert trained == {name for name in weights if "lora_" in name} != set()
    policy.save(tmp_path / "lora", {})
    assert LoraCard.read(tmp_path / "lora").base.name == "hub:owner/kontext@0123"
    with pytest.raises(InvalidInputError, match="lora: holds a LoRA, and RL trains a fresh one"):
        open_policy(tmp_path / "lora", config)
    again = open_editor(tmp_path / "lora", config, base=base)
    assert lora_tensors(again.transformer).keys() == lora_tensors(policy.transformer).keys()


def test_rl_gets_the_tiny_editor_as_it_is(editor_folder):
    assert isinstance(open_policy(editor_folder, AdaptationConfig()), TinyEditor)
