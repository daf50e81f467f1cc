import math

import numpy as np
import pytest
import torch
from PIL import Image
from transformers import AutoTokenizer, Qwen2_5_VLForConditionalGeneration

from spatialreward.editors.config import DenoisingConfig, LoraConfig, SamplingConfig
from spatialreward.editors.load import load_editor
from spatialreward.editors.lora_files import LORA_FILE
from spatialreward.editors.omnigen2.config import INFERENCE, OmniGen2Config
from spatialreward.editors.omnigen2.editor import OmniGen2Editor
from spatialreward.editors.omnigen2.text import IMAGE_SYSTEM
from spatialreward.editors.pictures import SizeLimit, to_pixels
from spatialreward.editors.sampling import draw_edits, log_prob, roll_out, transition
from spatialreward.edits import EditTask
from spatialreward.errors import InvalidInputError


def picture(seed=0, size=(48, 32)):
    drawn = np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    return Image.fromarray(drawn)


def some_tasks():
    """Of texts of different lengths and of different numbers of pictures; all edits are alike."""
    return [
        EditTask([picture(0)], "make it red", id="red"),
        EditTask([picture(1), picture(2, (32, 64))], "put the thing of the other one into it"),
    ]


@pytest.fixture(scope="module")
def editor(omnigen2_folder):
    return OmniGen2Editor.load(omnigen2_folder)


def with_config(editor, folder, **changes):
    """The same weights, other settings."""
    return OmniGen2Editor.load(folder, editor.config.model_copy(update=changes))


def test_features_are_the_whole_models_last_hidden_state_of_the_published_prompt(
    editor, omnigen2_folder
):
    mllm = Qwen2_5_VLForConditionalGeneration.from_pretrained(omnigen2_folder / "mllm")
    tokenizer = AutoTokenizer.from_pretrained(omnigen2_folder / "processor")
    condition = editor.encode(some_tasks())
    for row, task in enumerate(some_tasks()):
        prompt = (
            f"<|im_start|>system\n{IMAGE_SYSTEM}<|im_end|>\n"
            f"<|im_start|>user\n{task.instruction}<|im_end|>\n"
        )
        ids = tokenizer(prompt, return_tensors="pt")["input_ids"]
        with torch.no_grad():
            whole = mllm(ids, output_hidden_states=True).hidden_states[-1][0]
        length = int(condition.mask_BN[row].sum())
        assert length == len(whole)
        assert torch.allclose(condition.text_BND[row, :length], whole, atol=1e-5)
        assert condition.text_BND[row, length:].abs().sum() == 0


def test_a_long_instruction_is_cut(editor, omnigen2_folder, caplog):
    short = with_config(editor, omnigen2_folder, max_text_tokens=20)
    condition = short.encode(some_tasks()[:1])
    assert condition.mask_BN.tolist() == [[1] * 20]
    assert "is cut to 20: make it red" in caplog.text


def test_the_empty_instruction_may_have_the_plain_system_message(editor, omnigen2_folder):
    other = with_config(editor, omnigen2_folder, unguided_system="image")
    plain, image = (one.encode(some_tasks()).empty_1ND for one in (editor, other))
    assert plain.shape[1] < image.shape[1]


def test_latents_of_sources_are_drawn_from_the_posterior_once_and_for_all(editor, omnigen2_folder):
    tasks = [EditTask([picture(0, (256, 256))], "make it red")]
    [[latent]] = editor.encode(tasks).references
    vae = editor._vae
    with torch.no_grad():
        posterior = vae.encode(to_pixels(tasks[0].sources[0])[None]).latent_dist
    drawn = latent / vae.config.scaling_factor + vae.config.shift_factor
    noise = (drawn - posterior.mean) / posterior.std
    assert abs(float(noise.mean())) < 0.05
    assert abs(float(noise.std()) - 1) < 0.05
    again = editor.encode([*tasks, EditTask([picture(4, (256, 256))], "make it blue")])
    assert torch.equal(again.references[0][0], latent)
    other = with_config(editor, omnigen2_folder, source_seed=1).encode(tasks)
    assert not torch.equal(other.references[0][0], latent)


def test_edits_take_the_first_sources_size_or_the_one_asked_for(editor, omnigen2_folder):
    condition = editor.encode([EditTask([picture(0, (51, 40)), picture(1)], "make it red")])
    assert (condition.latent_hw, condition.picture_size) == ((4, 6), (48, 32))
    asked = with_config(editor, omnigen2_folder, output_size=(40, 70))
    condition = asked.encode(some_tasks())
    assert (condition.latent_hw, condition.picture_size) == ((8, 4), (40, 70))
    latents = asked.noise(condition, torch.Generator().manual_seed(0))
    assert latents.shape == (2, 16, 8, 4)
    assert [one.size for one in asked.decode(latents, condition)] == [(40, 70)] * 2


@pytest.mark.parametrize(
    ("task", "message"),
    [
        (EditTask([picture(0)] * 6, "x", id="b"), "task b: 6 source pictures, expected 5 at most"),
        (EditTask([picture(0, (8, 64))], "x"), "task 1: a picture of 8 x 64 px has a side below"),
        (
            EditTask([picture(0, (64, 64))], "x", id="b"),
            "task b: its edit has 64 x 64 px, the first task's has 48 x 32 px",
        ),
    ],
)
def test_a_task_that_cannot_be_edited_is_named(editor, task, message):
    with pytest.raises(InvalidInputError, match=message):
        editor.encode([some_tasks()[0], task])


@pytest.mark.parametrize(
    ("config", "side", "shift"), [(None, 512, 64 / 21), (INFERENCE, 1024, 3.2)]
)
def test_times_are_the_published_grid(editor, config, side, shift):
    condition = editor.encode(some_tasks()).rows(slice(1))
    large = type(condition)(**vars(condition) | {"latent_hw": (side // 8, side // 8)})
    editor = OmniGen2Editor.__new__(OmniGen2Editor)
    editor.config = config or OmniGen2Config()
    times = editor.times(4, large)
    assert times[0] == 0
    assert times[-1] == 1
    assert times[2] == pytest.approx(0.5 / (shift - (shift - 1) * 0.5))


@pytest.mark.parametrize(("text", "image"), [(4.0, 2.0), (4.0, 1.0), (1.0, 2.0)])
def test_guidance_in_one_pass_is_guidance_in_several(editor, omnigen2_folder, text, image):
    changes = {"text_guidance": text, "image_guidance": image}
    one_pass, several = (
        with_config(editor, omnigen2_folder, **changes, guidance_in_one_pass=one)
        for one in (True, False)
    )
    condition = editor.encode(some_tasks())
    latents = editor.noise(condition, torch.Generator().manual_seed(0))
    times_B = torch.tensor([0.2, 0.6])
    with torch.no_grad():
        found, expected = (one.velocity(latents, times_B, condition) for one in (one_pass, several))
        unguided = one_pass.velocity(latents, times_B, condition, guided=False)
    assert torch.allclose(found, expected, atol=1e-5)
    assert torch.allclose(found, unguided, atol=1e-5) == (text == 1)


def test_a_row_is_edited_alike_alone_and_beside_others(editor):
    condition = editor.encode(some_tasks())
    latents = editor.noise(condition, torch.Generator().manual_seed(0))
    times_B = torch.tensor([0.2, 0.6])
    with torch.no_grad():
        together = editor.velocity(latents, times_B, condition)
        for row in range(2):
            chosen = torch.tensor([row])
            alone = editor.velocity(latents[chosen], times_B[chosen], condition.rows(chosen))
            assert torch.allclose(together[chosen], alone, atol=1e-5)


def test_rows_of_a_condition_are_repeated_and_chosen_with_their_sources(editor):
    condition = editor.encode(some_tasks()).to("cpu")
    repeated = condition.repeat(2)
    assert [len(some) for some in repeated.references] == [1, 1, 2, 2]
    assert torch.equal(repeated.text_BND[1], condition.text_BND[0])
    assert len(repeated.rows(slice(None, None, 2))) == len(condition) == 2
    last = repeated.rows(torch.tensor([3]))
    assert torch.equal(last.references[0][1], condition.references[1][1])
    assert torch.equal(last.mask_BN[0], condition.mask_BN[1])


def test_without_noise_a_rollout_is_the_ode_to_the_bit(editor):
    condition = editor.encode(some_tasks())
    settings = {"num_denoising_steps": 3, "guidance_range": (0.0, 0.6)}
    drawn = draw_edits(
        editor, condition, DenoisingConfig(**settings), torch.Generator().manual_seed(5)
    )
    rolled = roll_out(
        editor, condition, SamplingConfig(eta=0, **settings), torch.Generator().manual_seed(5)
    )
    assert torch.equal(rolled.finished, drawn)
    assert {one.size for one in editor.decode(drawn, condition)} == {(48, 32)}


def test_an_update_finds_the_rollouts_log_probs_and_trains_the_lora_alone(omnigen2_folder):
    editor = OmniGen2Editor.load(omnigen2_folder)
    editor.add_lora(LoraConfig(rank=2, alpha=4), checkpointing=True)
    condition = editor.encode(some_tasks()).repeat(2)
    config = SamplingConfig(num_denoising_steps=4, stochastic_share=0.5)
    rollout = roll_out(editor, condition, config, torch.Generator().manual_seed(1), 2)
    times = editor.times(4, condition)
    for step in range(2):
        for chosen in (torch.tensor([0, 3]), torch.tensor([1, 2])):
            before = rollout.before[step][chosen]
            times_B = torch.full((2,), times[step])
            velocity = editor.velocity(before, times_B, condition.rows(chosen))
            found = transition(before, velocity, times[step], times[step + 1], config.eta)
            replayed = log_prob(found, rollout.after[step][chosen])
            assert torch.allclose(replayed, rollout.log_probs_TB[step][chosen], atol=1e-5)
            replayed.sum().backward()
    trained = {
        name: one.grad for name, one in editor.trainable().named_parameters() if one.requires_grad
    }
    assert len(trained) == 2 * 4 * 5
    assert all(".lora_" in name and grad.isfinite().all() for name, grad in trained.items())
    assert any(grad.abs().sum() > 0 for grad in trained.values())


def test_a_lora_is_loaded_on_its_base_and_not_on_another(omnigen2_folder, tmp_path):
    editor = load_editor(omnigen2_folder)
    editor.add_lora(LoraConfig(rank=2, alpha=4))
    torch.manual_seed(0)
    with torch.no_grad():
        for weight in editor.trainable().parameters():
            if weight.requires_grad:
                weight.normal_()
    editor.save(tmp_path / "lora", {})
    condition = editor.encode(some_tasks())
    latents = editor.noise(condition, torch.Generator().manual_seed(0))
    again = load_editor(tmp_path / "lora", settings={"text_guidance": 1.0})
    given = latents, torch.tensor([0.3, 0.8]), condition
    with torch.no_grad():
        moved, base = (one.velocity(*given, False) for one in (editor, editor.reference()))
        assert torch.equal(again.velocity(*given), moved)
        assert torch.equal(again.reference().velocity(*given), base)
    assert (moved - base).abs().max() > 1e-3


def test_diffusers_own_loader_takes_the_lora(omnigen2_folder, tmp_path):
    editor = load_editor(omnigen2_folder)
    editor.add_lora(LoraConfig(rank=2, alpha=6))
    with torch.no_grad():
        for weight in editor.trainable().parameters():
            if weight.requires_grad:
                weight.fill_(0.1)
    editor.save(tmp_path, {})
    condition = editor.encode(some_tasks())
    given = editor.noise(condition, torch.Generator().manual_seed(0)), torch.ones(2), condition
    other = load_editor(omnigen2_folder)
    other.transformer.load_lora_adapter(
        tmp_path, prefix="transformer", weight_name=LORA_FILE, use_safetensors=True
    )
    with torch.no_grad():
        found, expected = (one.velocity(*given, False) for one in (other, editor))
    assert torch.allclose(found, expected, atol=1e-6)


def test_bf16_weights_take_and_give_float32_latents(omnigen2_folder):
    exact = load_editor(omnigen2_folder)
    rough = load_editor(omnigen2_folder, precision="bfloat16")
    rough.add_lora(LoraConfig(rank=2))
    assert {one.dtype for one in rough.trainable().parameters() if one.requires_grad} == {
        torch.float32
    }
    velocities = []
    for editor in (exact, rough):
        condition = editor.encode(some_tasks())
        latents = editor.noise(condition, torch.Generator().manual_seed(0))
        with torch.no_grad():
            velocities.append(editor.velocity(latents, torch.tensor([0.2, 0.6]), condition, False))
    assert velocities[1].dtype == torch.float32
    assert (velocities[0] - velocities[1]).abs().max() < 0.2 * velocities[0].abs().max()


def test_a_fitting_limit_leaves_sources_alone(editor):
    limit = editor.config.limit
    assert limit == SizeLimit(max_pixels=512**2, max_side_px=2048)
    assert math.prod(limit.fit((4096, 64))) <= limit.max_pixels
