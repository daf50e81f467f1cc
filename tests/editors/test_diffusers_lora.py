"""LoRAs of editors on diffusers' classes: trained alone, switched off, loaded by the pipelines."""

import pytest
import torch

from serving.bench.stock_pipelines import compare, task_of
from spatialreward.editors.adapters import lora_tensors
from spatialreward.editors.config import LoraConfig
from spatialreward.errors import InvalidInputError

EDITORS = ("kontext", "klein", "qwen_edit", "qwen_edit_plus")
LORA = LoraConfig(rank=2, alpha=4)


def trained(editor):
    """The editor with a LoRA that has moved away from its beginning."""
    editor.add_lora(LORA)
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for weight in editor.trainable().parameters():
            if weight.requires_grad:
                weight.add_(0.3 * torch.randn(weight.shape, generator=generator))
    return editor


def is_dead_end(weight):
    """Whether it changes the text behind Qwen's last block, which nothing reads."""
    return weight.startswith(
        ("transformer_blocks.1.txt_mlp.", "transformer_blocks.1.attn.to_add_out.")
    )


def velocity(editor, **more):
    condition = editor.encode([task_of()])
    latents = editor.noise(condition, torch.Generator().manual_seed(2))
    return editor.velocity(latents, torch.full((1,), 0.3), condition, **more)


@pytest.mark.parametrize("name", EDITORS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_the_gradient_reaches_the_lora_alone_through_guidance(name, dtype, beside):
    editor = beside(name, dtype=dtype).editor
    editor.add_lora(LORA, checkpointing=True)
    velocity(editor).square().mean().backward()
    weights = dict(editor.trainable().named_parameters())
    reached = {key for key, one in weights.items() if one.grad is not None}
    expected = {key for key, one in weights.items() if one.requires_grad}
    if name.startswith("qwen"):
        expected = {key for key in expected if not is_dead_end(key)}
    assert reached
    assert reached == expected
    assert all(".lora_" in key and weights[key].dtype == torch.float32 for key in reached)
    second = [weights[key].grad for key in reached if ".lora_B." in key]
    assert all(torch.isfinite(grad).all() for grad in second)
    assert sum(grad.abs().max() > 0 for grad in second) > len(second) / 2


@pytest.mark.parametrize("name", EDITORS)
def test_the_reference_is_the_base_while_the_lora_is_on(name, beside):
    editor = beside(name).editor
    with torch.no_grad():
        base = velocity(editor)
        reference = trained(editor).reference()
        moved = velocity(editor)
        assert torch.equal(velocity(reference), base)
        assert torch.equal(velocity(editor), moved)
    assert (moved - base).abs().max() > 1e-3


@pytest.mark.parametrize("name", EDITORS)
def test_a_saved_lora_edits_alike_in_the_pipeline_and_read_again(name, beside, tmp_path):
    made = beside(name)._replace(num_steps=2)
    before = compare(made, task_of())
    trained(made.editor).save(tmp_path / "lora", {"steps": 3})
    unlike = compare(made, task_of())
    made.pipeline.load_lora_weights(tmp_path / "lora")
    alike = compare(made, task_of())
    assert (before.latents_exact_times, alike.latents_exact_times) == (0.0, 0.0)
    assert unlike.latents_exact_times > 1e-3
    again = beside(name).editor
    again.load_lora(tmp_path / "lora")
    with torch.no_grad():
        assert torch.equal(velocity(again), velocity(made.editor))


def test_a_lora_of_another_editor_is_refused(beside, tmp_path):
    trained(beside("kontext").editor).save(tmp_path / "lora", {})
    for name in ("klein", "qwen_edit"):
        other = beside(name).editor
        with pytest.raises(InvalidInputError, match=r"this LoRA is for .*kontext .*, not for "):
            other.load_lora(tmp_path / "lora")
        assert not lora_tensors(other.trainable())


@pytest.mark.parametrize("name", EDITORS)
def test_the_published_layers_are_in_every_block(name, beside):
    editor = beside(name).editor
    editor.add_lora(LORA)
    adapted = {
        tensor.removeprefix("transformer.").rpartition(".lora_")[0]
        for tensor in lora_tensors(editor.trainable())
    }
    assert {
        target
        for target in editor.TARGETS
        if any(layer.endswith(f".{target}") for layer in adapted)
    } == set(editor.TARGETS)
    blocks = {".".join(layer.split(".")[:2]) for layer in adapted}
    lists = ("transformer_blocks", "single_transformer_blocks")
    found = {
        f"{kind}.{number}"
        for kind in lists
        for number in range(len(getattr(editor.trainable(), kind, ())))
    }
    assert blocks == found
