import json
from dataclasses import replace

import pytest

from spatialreward.errors import InvalidInputError
from spatialreward.rl.memory_plan import GIB, Setting, Sizes, fitting, memory_of, sizes_of, table
from spatialreward.world.random_editors import write_klein, write_kontext, write_qwen_edit
from spatialreward.world.random_omnigen2 import write_omnigen2

SIZES = Sizes(
    base=10 * GIB,
    largest_block=GIB // 4,
    num_blocks=40,
    width=1024,
    adapters=GIB // 8,
    text=GIB,
    vae=GIB // 16,
    vae_width=128,
    vae_number_bytes=4,
)
WRITERS = {
    "omnigen2": write_omnigen2,
    "kontext": write_kontext,
    "klein": write_klein,
    "qwen": write_qwen_edit,
}


def test_a_plan_by_hand():
    # 32 x 32 tokens each of picture and source, and 512 of text: 2,560.
    parts = memory_of(SIZES, Setting(edits_at_a_time=4, kept_steps=3, edits_a_step=16))
    assert parts["base"] == 20 * GIB
    assert parts["adapters"] == GIB
    assert parts["gradients"] == GIB / 2
    assert parts["optimiser"] == GIB
    assert parts["activations"] == (2 * 40 + 34) * 2560 * 4 * 1024
    assert parts["rollouts"] == 1024 * 64 * 4 * 4 * 16
    assert parts["text encoder"] == 2 * GIB
    assert parts["vae"] == GIB / 4
    assert parts["decoding"] == 4 * 128 * 512**2 * 4


def test_what_each_way_divides():
    alone = Setting()
    zero2 = memory_of(SIZES, replace(alone, sharding="zero2", processes=4))
    fsdp2 = memory_of(SIZES, replace(alone, sharding="fsdp2", processes=4))
    assert zero2["base"] == 20 * GIB
    assert zero2["gradients"] == GIB / 8
    assert zero2["optimiser"] == 12 * GIB / 8 / 4
    assert fsdp2["base"] == 20 * GIB / 4 + GIB
    assert fsdp2["gradients"] == GIB / 2


def test_the_setting_that_fits_is_the_least_divided_one():
    on_80 = fitting(SIZES, Setting(), 80)
    assert on_80.processes == 1
    on_24 = fitting(SIZES, Setting(), 24)
    assert on_24.sharding == "fsdp2"
    assert sum(memory_of(SIZES, on_24).values()) <= 0.8 * 24 * GIB
    assert fitting(replace(SIZES, base=1000 * GIB), Setting(), 80) is None


@pytest.mark.parametrize("name", WRITERS)
def test_an_editor_is_counted_without_its_weights(name, tmp_path):
    WRITERS[name](tmp_path / name)
    held = 0
    for path in tmp_path.rglob("*.safetensors"):
        held += path.stat().st_size
        path.unlink()
    sizes = sizes_of(tmp_path / name)
    counted = 4 * (sizes.base + sizes.text + sizes.vae)
    # The rest are headers, buffers of the VAE, and weights that are tied.
    assert counted == pytest.approx(held, rel=0.1)
    assert sizes.adapters > 0
    plan = table(sizes, Setting(size_px=64), judge_bytes=GIB)
    assert "judge, apart     1.00 GiB" in plan
    assert "24 GB card: 1 process, nothing divided, edits_at_a_time 8" in plan


def test_the_published_omnigen2_has_its_published_number_of_weights(tmp_path):
    write_omnigen2(tmp_path / "editor")
    published = {"_class_name": "OmniGen2Transformer2DModel"}
    (tmp_path / "editor" / "transformer" / "config.json").write_text(json.dumps(published))
    sizes = sizes_of(tmp_path / "editor")
    assert sizes.base == 3_967_161_400
    assert sizes.num_blocks == 38
    assert sizes.width == 2520


def test_a_configuration_of_no_model_and_a_lora_are_named(tmp_path):
    write_omnigen2(tmp_path)
    config = tmp_path / "transformer" / "config.json"
    config.write_text(json.dumps(json.loads(config.read_text()) | {"hidden_size": "many"}))
    with pytest.raises(InvalidInputError, match=r"transformer/config\.json: makes no OmniGen2Tr"):
        sizes_of(tmp_path)
    (tmp_path / "pytorch_lora_weights.safetensors").touch()
    with pytest.raises(InvalidInputError, match="holds a LoRA; a plan is of its base"):
        sizes_of(tmp_path)


def test_a_part_without_a_configuration_is_named(tmp_path):
    write_omnigen2(tmp_path / "editor")
    (tmp_path / "editor" / "vae" / "config.json").unlink()
    with pytest.raises(InvalidInputError, match=r"vae: expected a config\.json"):
        sizes_of(tmp_path / "editor")
