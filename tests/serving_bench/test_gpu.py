import pytest

from serving.bench.gpu import (
    SHAPES,
    NoGpuError,
    check_gpu,
    measure_grpo,
    measure_judging,
    measure_training,
    random_judging,
)
from serving.bench.gpu_editor import PUBLISHED, Effort, measure_editor
from serving.bench.training import world


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return world(tmp_path_factory.mktemp("data"), 64, 8)


def test_training_tells_speed_and_memory(data):
    figures = {one.name: one.value for one in measure_training("tiny", data, 2, 4)}
    assert set(figures) == {
        f"sft/tiny/{name}" for name in ("samples_per_s", "tokens_per_s", "peak_gib")
    }
    assert all(value > 0 for value in figures.values())


def test_a_step_of_grpo_has_a_length(data):
    figure = measure_grpo("tiny", data, 8)
    assert (figure.name, figure.unit) == ("grpo/tiny/seconds_a_step", "s")
    assert figure.value > 0


def test_judging_is_measured_with_sources_of_their_own_and_with_one(data):
    figures = measure_judging("tiny", data, 4, 8)
    assert [one.name for one in figures] == [
        f"judging/tiny/{sharing}/judgements_per_s" for sharing in ("own_sources", "one_source")
    ]
    assert all(one.value > 0 for one in figures)


def test_a_step_of_an_editors_rl_is_split_into_its_parts(data):
    effort = Effort(num_steps=2, num_prompts=1, group_size=2, denoising_steps=3, trained_steps=1)
    with random_judging("tiny", data, 2, 8) as judging:
        figures = measure_editor("tiny", judging, data, effort)
    found = {one.name.removeprefix("editor/tiny/"): one.value for one in figures}
    parts = [found.pop(f"{part}/seconds_a_step") for part in ("draw", "judge", "update")]
    assert all(seconds > 0 for seconds in parts)
    assert sum(parts) == pytest.approx(found["seconds_a_step"], rel=0.2)
    assert found["pictures_per_s"] == pytest.approx(2 / found["seconds_a_step"])
    assert set(found) == {
        *("seconds_a_step", "pictures_per_s", "update/picture_steps_per_s", "peak_gib")
    }


def test_a_real_size_editor_has_as_many_weights_as_the_public_one():
    import torch

    from spatialreward.world.random_omnigen2 import random_omnigen2

    with torch.device("meta"):
        parts = random_omnigen2(PUBLISHED)
    counted = [
        sum(one.numel() for one in module.parameters())
        for module in (parts.transformer, parts.vae, parts.mllm.model.language_model)
    ]
    # OmniGen2's, FLUX.1's VAE, Qwen2.5-VL-3B's language model with its embedding.
    assert counted == [3_967_161_400, 83_819_683, 3_085_938_688]


def test_real_sizes_have_as_many_weights_as_the_public_ones():
    import torch
    from transformers import Qwen3VLConfig, Qwen3VLForConditionalGeneration

    from serving.bench.qwen_vocabulary import fitted_tokenizer
    from serving.bench.random_judge import _config

    tokenizer = fitted_tokenizer(["a red hat"] * 9, 600)
    for name, billions in (("2B", 2.13), ("8B", 8.77)):
        with torch.device("meta"):
            config = Qwen3VLConfig(**_config(SHAPES[name], tokenizer))
            model = Qwen3VLForConditionalGeneration(config)
        assert model.num_parameters() / 1e9 == pytest.approx(billions, abs=0.01)


def test_without_a_gpu_nothing_large_is_measured(monkeypatch):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    with pytest.raises(NoGpuError, match="nothing of 8B is measured"):
        check_gpu(["tiny", "8B"])
