import json

import pytest
import torch
from diffusers import FlowMatchEulerDiscreteScheduler, FluxPipeline, FluxTransformer2DModel
from safetensors.torch import load_file, save_file

from spatialreward.editors.adapters import (
    CARD_FILE,
    AdaptedEditor,
    LoraCard,
    LoraConfig,
    adapter_off,
    lora_tensors,
)
from spatialreward.editors.lora_files import (
    LORA_FILE,
    PEFT_CONFIG_FILE,
    PEFT_FILE,
    check_stated_base,
    read_lora_file,
)
from spatialreward.errors import InvalidInputError

LORA = LoraConfig(rank=4, alpha=8)
INPUTS = {
    "hidden_states": torch.linspace(-1, 1, 32).view(1, 8, 4),
    "encoder_hidden_states": torch.linspace(1, -1, 24).view(1, 3, 8),
    "pooled_projections": torch.linspace(0, 1, 8).view(1, 8),
    "timestep": torch.tensor([0.5]),
    "img_ids": torch.zeros(8, 3),
    "txt_ids": torch.zeros(3, 3),
}


class Editor(AdaptedEditor):
    """As much of an editor as weights need."""

    TARGETS = ("to_q", "to_v", "to_out.0")

    def velocity(self, latents, times_B, condition, guided=True):
        if condition == "broken":
            raise RuntimeError("broken")
        return predict(self.transformer)


def predict(transformer):
    return transformer(**INPUTS).sample


def build(seed=0):
    torch.manual_seed(seed)
    return FluxTransformer2DModel(
        patch_size=1,
        in_channels=4,
        num_layers=1,
        num_single_layers=1,
        attention_head_dim=8,
        num_attention_heads=2,
        joint_attention_dim=8,
        pooled_projection_dim=8,
        axes_dims_rope=(4, 2, 2),
    )


@pytest.fixture
def place(tmp_path):
    build().save_pretrained(tmp_path / "base" / "transformer")
    return tmp_path


def open_editor(place, **options):
    loaded = FluxTransformer2DModel.from_pretrained(place / "base" / "transformer", **options)
    return Editor(loaded, place / "base")


def trained(editor):
    """The editor with a LoRA that has moved away from its beginning."""
    editor.add_lora(LORA)
    torch.manual_seed(1)
    with torch.no_grad():
        for weight in editor.trainable().parameters():
            if weight.requires_grad:
                weight.add_(0.3 * torch.randn_like(weight))
    return editor


def test_a_fresh_lora_changes_nothing_and_is_all_that_is_trained(place):
    editor = open_editor(place)
    before = predict(editor.transformer)
    editor.add_lora(LORA, seed=3)
    assert torch.equal(predict(editor.transformer), before)
    names = [name for name, one in editor.trainable().named_parameters() if one.requires_grad]
    assert names
    assert all(".lora_A.default." in name or ".lora_B.default." in name for name in names)
    with pytest.raises(InvalidInputError, match="has one already"):
        editor.add_lora(LORA)


def test_the_first_matrices_follow_the_seed(place):
    one, same, other = (open_editor(place) for _ in range(3))
    for editor, seed in ((one, 3), (same, 3), (other, 4)):
        editor.add_lora(LORA, seed=seed)
    name = "transformer.transformer_blocks.0.attn.to_q.lora_A.weight"
    first, again, another = (lora_tensors(each.transformer)[name] for each in (one, same, other))
    assert torch.equal(first, again)
    assert not torch.equal(first, another)


def test_the_reference_is_the_base_and_switches_the_lora_on_again(place):
    editor = open_editor(place)
    base = predict(editor.transformer)
    trained(editor)
    moved = predict(editor.transformer)
    assert (moved - base).abs().max() > 1e-3
    reference = editor.reference()
    assert torch.equal(reference.velocity(torch.zeros(1), torch.zeros(1), "fine"), base)
    assert torch.equal(predict(editor.transformer), moved)
    with pytest.raises(RuntimeError, match="broken"):
        reference.velocity(torch.zeros(1), torch.zeros(1), "broken")
    assert torch.equal(predict(editor.transformer), moved)
    assert any(weight.requires_grad for weight in editor.trainable().parameters())


def test_a_frozen_adapter_stays_frozen_and_one_that_is_off_stays_off(place):
    editor = trained(open_editor(place))
    editor.transformer.requires_grad_(False)
    with adapter_off(editor.transformer):
        base = predict(editor.transformer)
        with adapter_off(editor.transformer):
            pass
        assert torch.equal(predict(editor.transformer), base)
    assert not any(weight.requires_grad for weight in editor.transformer.parameters())


def test_adapters_are_float32_and_get_gradients_on_a_bf16_base_with_checkpointing(place):
    editor = open_editor(place, torch_dtype=torch.bfloat16)
    editor.add_lora(LORA, checkpointing=True)
    assert editor.transformer.is_gradient_checkpointing
    weights = [one for one in editor.transformer.parameters() if one.requires_grad]
    assert {one.dtype for one in weights} == {torch.float32}
    inputs = {
        name: one.bfloat16() if one.ndim == 3 or name == "pooled_projections" else one
        for name, one in INPUTS.items()
    }
    output = editor.transformer(**inputs).sample
    assert output.dtype == torch.bfloat16
    output.float().square().sum().backward()
    gradients = [one.grad for one in weights if one.grad is not None]
    assert sum(float(one.abs().sum()) for one in gradients) > 0


def test_a_saved_lora_loads_again_and_says_what_it_belongs_to(place):
    editor = trained(open_editor(place))
    editor.save(place / "lora", {"kind": "a test's"})
    assert sorted(one.name for one in (place / "lora").iterdir()) == [CARD_FILE, LORA_FILE]
    card = json.loads((place / "lora" / CARD_FILE).read_text())
    assert card["kind"] == "a test's"
    read = LoraCard.read(place / "lora")
    assert read.lora == LORA.model_copy(update={"targets": ("to_out.0", "to_q", "to_v")})
    assert (read.transformer, read.base) == ("FluxTransformer2DModel", editor.base)
    again = open_editor(place)
    again.load_lora(place / "lora")
    assert torch.equal(predict(again.transformer), predict(editor.transformer))
    assert any(weight.requires_grad for weight in again.trainable().parameters())


def test_a_stock_pipeline_loads_the_lora_with_its_scale(place):
    editor = trained(open_editor(place))
    editor.save(place / "lora", {})
    pipeline = FluxPipeline(
        FlowMatchEulerDiscreteScheduler(), None, None, None, None, None, build()
    )
    pipeline.load_lora_weights(place / "lora")
    assert torch.allclose(predict(pipeline.transformer), predict(editor.transformer), atol=1e-6)


def test_a_lora_of_another_base_is_refused(place):
    trained(open_editor(place)).save(place / "lora", {})
    build(seed=5).save_pretrained(place / "other" / "base" / "transformer")
    with pytest.raises(InvalidInputError, match=r"this LoRA is for .*base .*, not for .*other"):
        open_editor(place / "other").load_lora(place / "lora")


def write_as_peft(folder, alpha, **settings):
    """A LoRA of ours in the folder in peft's form instead."""
    (folder / CARD_FILE).unlink()
    tensors = load_file(folder / LORA_FILE)
    (folder / LORA_FILE).unlink()
    renamed = {
        name.replace("transformer.", "base_model.model.", 1): one for name, one in tensors.items()
    }
    save_file(renamed, folder / PEFT_FILE)
    stated = {"peft_type": "LORA", "r": LORA.rank, "lora_alpha": alpha, **settings}
    (folder / PEFT_CONFIG_FILE).write_text(json.dumps(stated))


@pytest.mark.parametrize("form", ["diffusers", "diffusers without settings", "peft"])
def test_a_lora_of_others_has_no_card_and_is_put_on_what_it_fits(place, form, caplog):
    editor, lora = trained(open_editor(place)), place / "lora"
    editor.save(lora, {})
    match form:
        case "peft":
            write_as_peft(lora, LORA.alpha)
        case "diffusers without settings":
            # Then alpha is the rank; the second matrices make up for it.
            tensors = load_file(lora / LORA_FILE)
            for name, one in tensors.items():
                one.mul_(LORA.alpha / LORA.rank if ".lora_B." in name else 1)
            save_file(tensors, lora / LORA_FILE)
            (lora / CARD_FILE).unlink()
        case _:
            (lora / CARD_FILE).unlink()
    again = open_editor(place)
    again.load_lora(lora)
    assert torch.allclose(predict(again.transformer), predict(editor.transformer), atol=1e-6)
    assert "has no card, so its base is not known; it is put on" in caplog.text
    again.save(place / "again", {})
    assert LoraCard.read(place / "again").base == again.base


def test_a_lora_of_others_that_does_not_fit_or_names_another_base_is_refused(place):
    trained(open_editor(place)).save(place / "lora", {})
    (place / "lora" / CARD_FILE).unlink()
    tensors = load_file(place / "lora" / LORA_FILE)
    layer = "transformer.transformer_blocks.7.attn.to_q.lora_A.weight"
    save_file(tensors | {layer: torch.zeros(4, 16)}, place / "lora" / LORA_FILE)
    with pytest.raises(
        InvalidInputError, match=r"/pytorch_lora_\S+: LoRA: \S+ has no lin.*_blocks\.7\."
    ):
        open_editor(place).load_lora(place / "lora")
    save_file(tensors, place / "lora" / LORA_FILE)
    (place / "lora" / CARD_FILE).touch()
    write_as_peft(place / "lora", LORA.alpha, base_model_name_or_path="some/other")
    file = read_lora_file(place / "lora")
    with pytest.raises(InvalidInputError, match="is for some/other, not for hub:some/one@0123"):
        check_stated_base(file, "hub:some/one@0123")
    check_stated_base(file, "hub:some/other@0123")
    (place / "lora" / PEFT_CONFIG_FILE).write_text('{"rank_pattern": {"to_q": 8}}')
    with pytest.raises(InvalidInputError, match=r"adapter_config\.json: rank_pattern is not supp"):
        read_lora_file(place / "lora")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda tensors, name: tensors.pop(name), r"lacks transformer\.single.*lora_A.*\[4, 16\]"),
        (lambda tensors, name: tensors.update(x=torch.zeros(2)), "holds x, for which"),
        (
            lambda tensors, name: tensors.update({name: torch.zeros(3, 16)}),
            r"lora_A\.weight: expected shape \[4, 16\], got \[3, 16\]",
        ),
    ],
)
def test_a_lora_that_does_not_fit_is_refused_and_none_of_it_stays(place, change, message):
    trained(open_editor(place)).save(place / "lora", {})
    tensors = load_file(place / "lora" / LORA_FILE)
    change(tensors, "transformer.single_transformer_blocks.0.attn.to_q.lora_A.weight")
    save_file(tensors, place / "lora" / LORA_FILE)
    editor = open_editor(place)
    base = predict(editor.transformer)
    with pytest.raises(InvalidInputError, match=message):
        editor.load_lora(place / "lora")
    assert lora_tensors(editor.transformer) == {}
    assert torch.equal(predict(editor.transformer), base)


def test_what_has_no_lora_or_no_card_is_reported_so(place):
    editor = open_editor(place)
    with pytest.raises(InvalidInputError, match="no LoRA that could be saved"):
        editor.save(place / "lora", {})
    with pytest.raises(InvalidInputError, match="no weights of its own"):
        editor.reference().save(place / "lora", {})
    with pytest.raises(InvalidInputError, match="has no linear layer 'to_x'"):
        editor.add_lora(LoraConfig(targets=("to_q", "to_x")))
    (place / "lora").mkdir()
    with pytest.raises(InvalidInputError, match=r"no LoRA here, expected pytorch_lora_weights"):
        editor.load_lora(place / "lora")
    trained(open_editor(place)).save(place / "lora", {})
    (place / "lora" / CARD_FILE).write_text("{}")
    with pytest.raises(InvalidInputError, match=r"card\.json: adapter: "):
        editor.load_lora(place / "lora")
