import copy

import pytest

from spatialreward.training.config import JudgeTrainingConfig, LoraTuning
from spatialreward.training.tuning import check, prepare

LORA = JudgeTrainingConfig(tuning=LoraTuning(rank=2, alpha=4), trains_vision=False)


def trained(model):
    return {name for name, one in model.named_parameters() if one.requires_grad}


def test_all_weights_are_trained_or_those_of_the_language_model(untrained):
    model = copy.deepcopy(untrained[0])
    names = {name for name, _ in model.named_parameters()}
    assert trained(prepare(model, JudgeTrainingConfig(), "base")) == names
    half = JudgeTrainingConfig(trains_vision=False)
    kept = trained(prepare(model, half, "base"))
    assert kept == {name for name in names if not name.startswith("model.visual.")}
    assert any("deepstack_merger_list" in name for name in names - kept)
    assert any("visual.merger" in name for name in names - kept)
    assert any("embed_tokens" in name for name in kept)


def test_a_lora_is_on_the_seven_kinds_of_the_language_model_alone(untrained):
    model = prepare(copy.deepcopy(untrained[0]), LORA, "some/base")
    names = trained(model)
    kinds = {name.split(".lora_")[0].rpartition(".")[2] for name in names}
    assert kinds == {
        *("q_proj", "k_proj", "v_proj", "o_proj"),
        *("gate_proj", "up_proj", "down_proj"),
    }
    num_layers = untrained[0].config.text_config.num_hidden_layers
    assert len(names) == 7 * 2 * num_layers
    assert not any("visual" in name or "lm_head" in name for name in names)
    assert model.peft_config["default"].base_model_name_or_path == "some/base"


def test_what_is_trained_by_mistake_is_found_by_name(untrained):
    model = prepare(copy.deepcopy(untrained[0]), LORA, "base")
    name, weight = next((name, one) for name, one in model.named_parameters() if "visual" in name)
    weight.requires_grad_(True)
    with pytest.raises(AssertionError, match=name):
        check(model, LORA)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"tuning": {"kind": "lora"}}, "trains_vision: LoRA trains the language model alone"),
        ({"deepspeed": "zero2"}, "deepspeed zero2: takes adamw alone, not muon"),
    ],
)
def test_settings_that_exclude_each_other_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        JudgeTrainingConfig.model_validate(settings)
