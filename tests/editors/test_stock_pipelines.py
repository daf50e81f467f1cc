"""Editors on diffusers' classes against diffusers' own pipelines, with the same weights."""

import pytest
import torch

from serving.bench.stock_pipelines import LATENTS_TOLERANCE, compare, picture, task_of
from spatialreward.editors import flux_kontext
from spatialreward.editors.flux2_klein import klein_shift
from spatialreward.editors.qwen_image_edit import size_of_area
from spatialreward.edits import EditTask

EDITORS = ("kontext", "klein", "qwen_edit", "qwen_edit_plus")


def check_parity(beside, task=None):
    found = compare(beside, task or task_of())
    assert found.latents_exact_times == 0.0
    assert found.latents <= LATENTS_TOLERANCE
    assert found.levels <= 1


@pytest.mark.parametrize("name", EDITORS)
def test_without_noise_an_edit_is_the_pipelines(name, beside):
    check_parity(beside(name))


def test_kontext_with_a_negative_prompt_is_the_pipelines(beside):
    check_parity(beside("kontext", true_cfg_scale=3.0)._replace(num_steps=5))


def test_kontext_resizes_its_source_as_the_pipeline_does(beside, monkeypatch):
    from diffusers.pipelines.flux import pipeline_flux_kontext

    assert list(flux_kontext.PREFERRED_SIZES) == pipeline_flux_kontext.PREFERRED_KONTEXT_RESOLUTIONS
    small = [(48, 128), (64, 96), (80, 80), (128, 48)]
    monkeypatch.setattr(pipeline_flux_kontext, "PREFERRED_KONTEXT_RESOLUTIONS", small)
    monkeypatch.setattr(flux_kontext, "PREFERRED_SIZES", small)
    made = beside("kontext", auto_resize=True)._replace(num_steps=3)
    check_parity(made, EditTask([picture((70, 110))], "make it red"))


def test_a_distilled_editor_takes_no_second_pass(beside):
    made = beside("klein_distilled")
    assert made.editor.encode([task_of()]).negative is None
    check_parity(made)


@pytest.mark.parametrize("name", ["klein", "qwen_edit_plus"])
def test_several_sources_are_seen_as_the_pipeline_sees_them(name, beside):
    check_parity(beside(name)._replace(num_steps=4), task_of(2))


def test_a_large_source_is_scaled_down_and_its_middle_taken(beside):
    from spatialreward.editors.flux2_klein import KleinConfig

    made = beside("klein")._replace(num_steps=2)
    made.editor.config = KleinConfig(max_pixels=1024**2, max_sequence_length=64)
    source = picture((1500, 1100))
    width, height = made.editor.fitted(source).size
    expected = made.pipeline.image_processor._resize_to_target_area(source, 1024**2)
    assert (width, height) == tuple(side // 16 * 16 for side in expected.size)


@pytest.mark.parametrize("name", ["qwen_edit", "qwen_edit_plus"])
def test_positions_of_a_picture_are_those_of_a_mended_pipeline(name, beside):
    made = beside(name, picture_positions=True)._replace(num_steps=3)
    check_parity(made)
    stock = beside(name)
    task = task_of()
    with_positions = made.editor.encode([task]).prompt.features_BTD
    assert not torch.equal(with_positions, stock.editor.encode([task]).prompt.features_BTD)


def test_qwens_features_are_its_last_hidden_state(beside):
    editor = beside("qwen_edit").editor
    inputs = editor.parts.processor.inputs_of("make it red", [picture((64, 64))], numbered=False)
    with torch.no_grad():
        whole = editor.parts.text_encoder(**inputs, output_hidden_states=True)
        last = editor.parts.text_encoder.model(**inputs).last_hidden_state
    assert torch.equal(whole.hidden_states[-1], last)


def test_qwens_sizes_are_the_pipelines():
    from diffusers.pipelines.qwenimage.pipeline_qwenimage_edit import calculate_dimensions

    for size in [(1024, 1024), (640, 480), (333, 1000), (1920, 1080)]:
        expected = calculate_dimensions(1024 * 1024, size[0] / size[1])[:2]
        assert size_of_area(1024**2, size) == expected


def test_kleins_shift_is_the_pipelines():
    from diffusers.pipelines.flux2.pipeline_flux2_klein import compute_empirical_mu

    for num_tokens in (256, 4096, 4301):
        for num_steps in (4, 20, 50):
            assert klein_shift(num_tokens, num_steps) == compute_empirical_mu(num_tokens, num_steps)


@pytest.mark.parametrize("name", EDITORS)
def test_in_16_bits_each_step_predicts_what_the_pipeline_does(name, beside):
    made = beside(name, dtype=torch.bfloat16)
    task, steps = task_of(), []
    stock_step = made.pipeline.scheduler.step

    def watched(prediction, time, latents, **more):
        steps.append((time, latents, prediction))
        return stock_step(prediction, time, latents, **more)

    made.pipeline.scheduler.step = watched
    made.pipeline(**made.call(task), num_inference_steps=3)
    condition = made.editor.encode([task])
    times = made.editor.times(3, condition)
    for (_, latents, prediction), time in zip(steps, times, strict=False):
        times_B = torch.full((1,), time, dtype=torch.float64)
        with torch.no_grad():
            velocity = made.editor.velocity(latents.float(), times_B, condition)
        assert velocity.dtype == torch.float32
        assert torch.equal(velocity, -prediction.float())
