"""Weights are those of the architecture, all of them and no others, or refused by name."""

import json
import re

import pytest
import torch
from safetensors.torch import load_file, save_file

from spatialreward.errors import InvalidInputError
from spatialreward.judges.qwen_vl import checkpoint
from spatialreward.judges.qwen_vl.folder import MODEL_TYPES
from spatialreward.judges.qwen_vl.vision import PatchProjection
from spatialreward.protocol.prompts import FULL
from spatialreward.world.shipped import SHIPPED_BASE
from tests.judges.models import copied, small_model, with_json, write_model

WEIGHTS = "model.safetensors"


@pytest.fixture(scope="module")
def tokenizer(untrained):
    return untrained[1].tokenizer


@pytest.fixture(scope="module")
def folders(tokenizer, tmp_path_factory):
    """A folder of each architecture, with its head tied to the embedding and without."""
    home = tmp_path_factory.mktemp("models")
    return {
        (kind, tied): write_model(
            home / f"{kind}-{tied}", small_model(kind, tokenizer, tied=tied), tokenizer
        )
        for kind in MODEL_TYPES
        for tied in (True, False)
    }


def reloaded(folder):
    return checkpoint.load(folder, None)[0].state_dict()


def changed(folder, out, change):
    """A copy of which ``change`` has changed the tensors."""
    copied(folder, out, without=[WEIGHTS])
    tensors = change(load_file(folder / WEIGHTS))
    save_file({name: one.contiguous() for name, one in tensors.items()}, out / WEIGHTS)
    return out


def refused(folder):
    with pytest.raises(InvalidInputError) as caught:
        checkpoint.load(folder, None)
    assert str(caught.value).startswith(f"{folder}: ")
    return str(caught.value)


@pytest.mark.parametrize("kind", MODEL_TYPES)
@pytest.mark.parametrize("tied", [True, False])
def test_every_architecture_is_loaded_as_it_was_saved(kind, tied, folders, tokenizer):
    model, processor = checkpoint.load(folders[kind, tied], None)
    expected = small_model(kind, tokenizer, tied=tied).state_dict()
    for name, tensor in model.state_dict().items():
        assert torch.equal(tensor, expected[name]), name
    head, embedding = model.lm_head.weight, model.get_input_embeddings().weight
    assert (head.data_ptr() == embedding.data_ptr()) is tied
    assert model.dtype == torch.float32
    assert not model.training
    assert model.generation_config.eos_token_id == tokenizer.eos_token_id
    assert processor.tokenizer.chat_template == tokenizer.chat_template


@pytest.mark.parametrize("kind", MODEL_TYPES)
def test_shards_are_loaded_as_one_file_is(kind, folders, tokenizer, tmp_path):
    write_model(tmp_path, small_model(kind, tokenizer), tokenizer, max_shard_size="60KB")
    assert len(list(tmp_path.glob("model-*-of-*.safetensors"))) > 2
    whole = reloaded(folders[kind, True])
    for name, tensor in reloaded(tmp_path).items():
        assert torch.equal(tensor, whole[name]), name


def test_weights_in_16_bits_are_loaded_in_32_on_a_cpu_and_for_training(tmp_path, tokenizer):
    write_model(tmp_path, small_model("qwen3_vl", tokenizer).to(torch.bfloat16), tokenizer)
    on_gpu = torch.bfloat16 if torch.cuda.is_available() else torch.float32
    assert checkpoint.load(tmp_path, None)[0].dtype == on_gpu
    assert checkpoint.load_for_training(tmp_path, torch.float32)[0].dtype == torch.float32


def test_models_are_faster_for_judging_and_for_training(tmp_path, tokenizer):
    write_model(tmp_path, small_model("qwen3_vl", tokenizer), tokenizer)
    for model in (
        checkpoint.load(tmp_path, None)[0],
        checkpoint.load_for_training(tmp_path, torch.float32)[0],
    ):
        assert isinstance(model.model.visual.patch_embed.proj, PatchProjection)


@pytest.mark.parametrize("kind", MODEL_TYPES)
def test_a_missing_tensor_is_named(kind, folders, tmp_path):
    lost = "model.language_model.layers.1.input_layernorm.weight"

    def without(tensors):
        return {
            name: one
            for name, one in tensors.items()
            if not name.endswith("1.input_layernorm.weight")
        }

    message = refused(changed(folders[kind, True], tmp_path / "out", without))
    assert f"tensors missing: {lost}" in message


def test_an_untied_head_is_missed_and_a_tied_one_is_not(folders, tmp_path):
    def without(tensors):
        return {name: one for name, one in tensors.items() if name != "lm_head.weight"}

    message = refused(changed(folders["qwen3_vl", False], tmp_path / "untied", without))
    assert "tensors missing: lm_head.weight" in message
    tied = changed(folders["qwen3_vl", True], tmp_path / "tied", without)
    assert "lm_head.weight" in reloaded(tied)


def test_a_tied_head_may_be_stored_a_second_time(folders, tmp_path):
    def twice(tensors):
        embedding = tensors["model.language_model.embed_tokens.weight"]
        return tensors | {"lm_head.weight": embedding.clone()}

    assert reloaded(changed(folders["qwen3_vl", True], tmp_path / "out", twice))


def test_a_model_without_its_vision_part_is_refused(folders, tmp_path):
    def blind(tensors):
        return {name: one for name, one in tensors.items() if "visual" not in name}

    message = refused(changed(folders["qwen3_vl", True], tmp_path / "out", blind))
    assert "tensors missing: model.visual." in message
    assert "more" in message


def test_renamed_tensors_are_named_on_both_sides(folders, tmp_path):
    def renamed(tensors):
        return {name.replace("self_attn", "attention"): one for name, one in tensors.items()}

    message = refused(changed(folders["qwen3_vl", True], tmp_path / "out", renamed))
    assert "tensors missing: model.language_model.layers.0.self_attn" in message
    assert "tensors not the model's: model.language_model.layers.0.attention" in message


def test_a_tensor_that_is_not_the_models_is_named(folders, tmp_path):
    message = refused(
        changed(
            folders["qwen3_vl", True], tmp_path / "out", lambda all: all | {"v_head": torch.ones(2)}
        )
    )
    assert message.endswith("1 tensors not the model's: v_head")


def test_a_tensor_of_another_shape_is_named(folders, tmp_path):
    name = "model.language_model.layers.0.mlp.up_proj.weight"
    message = refused(
        changed(
            folders["qwen3_vl", True], tmp_path / "out", lambda all: all | {name: all[name][:-1]}
        )
    )
    assert message.endswith(f"{name}: expected [64, 48], got [63, 48]")


def test_a_config_without_sizes_does_not_stand_for_the_largest_model(folders, tmp_path):
    folder = copied(folders["qwen3_vl", True], tmp_path / "out")
    with_json(folder / "config.json", text_config=None, vision_config=None)
    assert "tensors missing" in refused(folder)


def test_a_config_of_which_no_model_can_be_built_is_named(folders, tmp_path):
    folder = copied(folders["qwen3_vl", True], tmp_path / "out")
    sizes = json.loads((folder / "config.json").read_text())["text_config"]
    with_json(folder / "config.json", text_config=sizes | {"hidden_size": "wide"})
    with pytest.raises(InvalidInputError, match=r"config\.json: .*hidden_size"):
        checkpoint.load(folder, None)


def test_experts_are_read_in_the_layout_of_the_hub_and_in_that_of_memory(folders, tmp_path):
    folder = folders["qwen3_vl_moe", True]

    def turned(tensors):
        return {
            name: one.transpose(1, 2) if ".experts." in name else one
            for name, one in tensors.items()
        }

    expected = reloaded(folder)
    for name, tensor in reloaded(changed(folder, tmp_path / "out", turned)).items():
        assert torch.equal(tensor, expected[name]), name


def test_the_names_that_the_hub_has_for_qwen2_5_vl_are_known(folders, tmp_path):
    folder = folders["qwen2_5_vl", False]

    def as_on_the_hub(tensors):
        return {
            name.replace("model.language_model.", "model.").replace("model.visual.", "visual."): one
            for name, one in tensors.items()
        }

    out = changed(folder, tmp_path / "out", as_on_the_hub)
    assert "visual.patch_embed.proj.weight" in load_file(out / WEIGHTS)
    expected = reloaded(folder)
    for name, tensor in reloaded(out).items():
        assert torch.equal(tensor, expected[name]), name


def test_a_tokenizer_of_another_model_is_refused(folders, tmp_path, tokenizer):
    small = copied(folders["qwen3_vl", True], tmp_path / "small", without=["tokenizer*"])
    copied_tokenizer = SHIPPED_BASE / "tokenizer.json"
    grown = json.loads(copied_tokenizer.read_text())
    grown["added_tokens"].append(grown["added_tokens"][-1] | {"id": 5000, "content": "<|x|>"})
    (small / "tokenizer.json").write_text(json.dumps(grown))
    (small / "tokenizer_config.json").write_bytes(
        (SHIPPED_BASE / "tokenizer_config.json").read_bytes()
    )
    assert "tokens, the model" in refused(small)


def test_the_token_of_a_picture_must_be_the_same_in_tokenizer_and_config(folders, tmp_path):
    folder = copied(folders["qwen3_vl", True], tmp_path / "out")
    with_json(folder / "config.json", image_token_id=6)
    assert "a picture's token is 5 in the tokenizer, 6 in config.json" in refused(folder)


def test_a_chat_template_that_is_only_in_the_processors_file_is_used(folders, tmp_path):
    whole = folders["qwen3_vl", True]
    template = (whole / "chat_template.jinja").read_text()
    folder = copied(whole, tmp_path / "out", without=["chat_template.jinja"])
    _, processor = checkpoint.load(folder, None)
    with pytest.raises(InvalidInputError, match="it has none: expected one in tokenizer_config"):
        processor.following(FULL)
    (folder / "chat_template.json").write_text(json.dumps({"chat_template": template}))
    _, processor = checkpoint.load(folder, None)
    assert processor.following(FULL).tokenizer.chat_template == template


@pytest.mark.parametrize(
    ("template", "expected"),
    [
        ("{% for message in %}", "chat_template of the checkpoint: Expected an expression"),
        ("{{ raise_exception('no system turn') }}", "no system turn"),
        ("{% for m in messages %}{{ m.content }}{% endfor %}", "expected each text once and"),
        ("a fixed text", "expected each text once and <|image_pad|> for each picture, got 'a fix"),
        ("<|image_pad|><|image_pad|>", "it shows one picture more than once"),
    ],
)
def test_a_chat_template_that_shows_no_prompt_is_refused(template, expected, folders, tmp_path):
    folder = copied(folders["qwen3_vl", True], tmp_path / "out")
    (folder / "chat_template.jinja").write_text(template)
    _, processor = checkpoint.load(folder, None)
    with pytest.raises(InvalidInputError, match=re.escape(expected)) as caught:
        processor.following(FULL)
    assert "\n" not in str(caught.value)


def test_a_protocols_chat_template_that_shows_no_prompt_is_refused(folders):
    _, processor = checkpoint.load(folders["qwen3_vl", True], None)
    with pytest.raises(InvalidInputError, match=r"^chat_template of the protocol: "):
        processor.following(FULL.model_copy(update={"chat_template": "{% if %}"}))


@pytest.mark.parametrize("change", [{"patch_size": "eight"}, {"image_mean": [0.5]}])
def test_settings_that_prepare_no_picture_are_refused(change, folders, tmp_path):
    folder = copied(folders["qwen3_vl", True], tmp_path / "out")
    with_json(folder / "preprocessor_config.json", **change)
    assert "tokenizer or image processor: " in refused(folder)


def test_settings_of_answers_that_cannot_be_are_refused(folders, tmp_path):
    folder = copied(folders["qwen3_vl", True], tmp_path / "out")
    with_json(folder / "generation_config.json", max_new_tokens=-1)
    with pytest.raises(
        InvalidInputError, match=r"generation_config\.json: .max_new_tokens. must be"
    ):
        checkpoint.load(folder, None)
