"""An adapter is merged into the weights as its numbers say, or refused by name."""

import json
import logging

import pytest
import torch
from peft import LoraConfig, get_peft_model
from safetensors.torch import load_file, save_file

from spatialreward.errors import InvalidInputError
from spatialreward.folder_manifest import digest_folder
from spatialreward.judges.load import load_judge
from spatialreward.judges.qwen_vl import checkpoint
from spatialreward.judges.qwen_vl.adapter import check_adapter
from spatialreward.judges.qwen_vl.folder import MODEL_TYPES
from tests.judges.models import copied, small_model, with_json, write_model

# peft 0.21 asks transformers 5.23 for what has another name there.
pytestmark = pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing`:FutureWarning")

WEIGHTS = "adapter_model.safetensors"
RANK, ALPHA = 4, 6


@pytest.fixture(scope="module")
def tokenizer(untrained):
    return untrained[1].tokenizer


@pytest.fixture(scope="module")
def folder(tokenizer, tmp_path_factory):
    out = tmp_path_factory.mktemp("base")
    return write_model(out, small_model("qwen3_vl", tokenizer), tokenizer)


def write_adapter(out, model, modules=("q_proj", "down_proj")):
    wrapped = get_peft_model(
        model, LoraConfig(r=RANK, lora_alpha=ALPHA, target_modules=list(modules))
    )
    generator = torch.Generator().manual_seed(1)
    for name, parameter in wrapped.named_parameters():
        if "lora_B" in name:
            parameter.data.normal_(generator=generator)
    wrapped.save_pretrained(out)
    with_json(out / "adapter_config.json", base_model_name_or_path="Qwen/Qwen3-VL-8B-Instruct")
    return out


@pytest.fixture(scope="module")
def adapter(tokenizer, tmp_path_factory):
    return write_adapter(tmp_path_factory.mktemp("adapter"), small_model("qwen3_vl", tokenizer))


def problem(folder, adapter):
    with pytest.raises(InvalidInputError) as caught:
        checkpoint.load(folder, None, adapter=adapter)
    message = str(caught.value)
    assert message.startswith(str(adapter))
    assert "\n" not in message
    return message


@pytest.mark.parametrize("kind", MODEL_TYPES)
def test_the_merged_weights_are_base_plus_scaled_product(kind, tokenizer, tmp_path, caplog):
    modules = ("q_proj", "v_proj")
    folder = write_model(tmp_path / "base", small_model(kind, tokenizer), tokenizer)
    adapter = write_adapter(tmp_path / "adapter", small_model(kind, tokenizer), modules)
    with caplog.at_level(logging.INFO):
        model, _ = checkpoint.load(folder, None, adapter=adapter)
    assert f"adapter {adapter} is merged into {folder}" in caplog.messages
    factors = load_file(adapter / WEIGHTS)
    changed = 0
    base = small_model(kind, tokenizer).state_dict()
    for name, tensor in model.state_dict().items():
        factor = f"base_model.model.{name.removesuffix('.weight')}.lora_{{}}.weight"
        expected = base[name]
        if any(module in name and name.endswith(".weight") for module in modules):
            up, down = factors[factor.format("B")], factors[factor.format("A")]
            expected = expected + ALPHA / RANK * up @ down
            changed += 1
        torch.testing.assert_close(tensor, expected, msg=name)
    assert changed == 6


def test_an_adapter_that_lies_beside_the_weights_is_applied_when_named(folder, adapter, tmp_path):
    both = copied(folder, tmp_path / "both")
    for path in adapter.glob("adapter_*"):
        (both / path.name).write_bytes(path.read_bytes())
    expected = checkpoint.load(folder, None, adapter=adapter)[0].state_dict()
    merged = checkpoint.load(both, None, adapter=both)[0].state_dict()
    assert all(torch.equal(tensor, expected[name]) for name, tensor in merged.items())
    with pytest.raises(InvalidInputError, match="an adapter lies beside the weights"):
        checkpoint.load(both, None)


def test_a_judge_may_be_loaded_with_an_adapter(folder, adapter):
    with load_judge(folder, adapter=adapter) as judge:
        digests = map(digest_folder, (folder, adapter))
        assert judge.identity.weights == "+".join(digests)
        assert judge.notice == ""


@pytest.mark.parametrize(
    ("num_layers", "expected"),
    [(2, "the base has no place for base_model.model."), (4, "the adapter lacks base_model.")],
)
def test_an_adapter_for_a_model_of_another_depth_is_refused(
    num_layers, expected, adapter, tokenizer, tmp_path
):
    model = small_model("qwen3_vl", tokenizer, num_hidden_layers=num_layers)
    assert expected in problem(write_model(tmp_path, model, tokenizer), adapter)


def test_a_tensor_of_another_shape_is_named(folder, adapter, tmp_path):
    other = copied(adapter, tmp_path / "other")
    tensors = load_file(other / WEIGHTS)
    name = "base_model.model.model.language_model.layers.1.mlp.down_proj.lora_A.weight"
    assert tensors[name].shape == (4, 64)
    save_file(tensors | {name: torch.ones(4, 60)}, other / WEIGHTS)
    found = f"{name.replace('.weight', '.default.weight')} is [4, 60] in the adapter, [4, 64] in"
    assert found in problem(folder, other)


def test_an_adapter_of_other_modules_is_refused(folder, adapter, tmp_path):
    other = copied(adapter, tmp_path / "other")
    with_json(other / "adapter_config.json", target_modules=["c_attn"])
    assert "not found in the base model" in problem(folder, other)


def test_a_tensor_that_is_not_the_adapters_is_named(folder, adapter, tmp_path):
    other = copied(adapter, tmp_path / "other")
    tensors = load_file(other / WEIGHTS)
    save_file(tensors | {"base_model.model.v_head.weight": torch.ones(2)}, other / WEIGHTS)
    assert "the base has no place for base_model.model.v_head.weight" in problem(folder, other)


def test_an_adapters_settings_that_peft_does_not_read_are_named(folder, adapter, tmp_path):
    marked = copied(adapter, tmp_path / "marked")
    path = marked / "adapter_config.json"
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    assert problem(folder, marked).startswith(f"{path}: Unexpected UTF-8 BOM")


def test_a_folder_that_holds_no_adapter_is_named(tmp_path):
    with pytest.raises(InvalidInputError, match=r"no adapter here, expected an adapter_config"):
        check_adapter(tmp_path, "base")
    config = tmp_path / "adapter_config.json"
    for content, expected in (
        ("[", "adapter_config.json: is not JSON"),
        ('{"peft_type": "IA3"}', "peft_type: expected 'LORA', got 'IA3'"),
        ('{"peft_type": "LORA"}', f"no {WEIGHTS} beside"),
    ):
        config.write_text(content)
        with pytest.raises(InvalidInputError, match=expected):
            check_adapter(tmp_path, "base")
    save_file({"lora_A": torch.ones(0)}, tmp_path / WEIGHTS)
    with pytest.raises(InvalidInputError, match="empty tensors, as ZeRO-3 leaves them: lora_A"):
        check_adapter(tmp_path, "base")


def test_an_adapter_that_names_another_model_of_the_hub_is_refused(adapter):
    check_adapter(adapter, "hub:qwen/qwen3-vl-8b-instruct@main")
    check_adapter(adapter, "some/folder")
    message = "the adapter is for Qwen/Qwen3-VL-8B-Instruct, not for hub:Qwen/Qwen3-VL-4B"
    with pytest.raises(InvalidInputError, match=message):
        check_adapter(adapter, "hub:Qwen/Qwen3-VL-4B")
    assert json.loads((adapter / "adapter_config.json").read_text())["r"] == RANK
    with pytest.raises(InvalidInputError, match=message):
        load_judge("hub:Qwen/Qwen3-VL-4B", adapter=adapter)
