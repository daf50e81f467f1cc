import json

import pytest
import torch

from spatialreward.editors.omnigen2.patches import Positions, from_patches, rotations, to_patches
from spatialreward.editors.omnigen2.transformer import OmniGen2Transformer2DModel
from spatialreward.errors import InvalidInputError

PUBLIC = {
    "_class_name": "OmniGen2Transformer2DModel",
    "_diffusers_version": "0.33.1",
    "patch_size": 2,
    "in_channels": 16,
    "out_channels": None,
    "hidden_size": 2520,
    "num_layers": 32,
    "num_refiner_layers": 2,
    "num_attention_heads": 21,
    "num_kv_heads": 7,
    "multiple_of": 256,
    "ffn_dim_multiplier": None,
    "norm_eps": 1e-5,
    "axes_dim_rope": [40, 40, 40],
    "axes_lens": [1024, 1664, 1664],
    "text_feat_dim": 2048,
    "timestep_scale": 1000.0,
}
TINY = PUBLIC | {
    "hidden_size": 48,
    "num_layers": 2,
    "num_refiner_layers": 1,
    "num_attention_heads": 4,
    "num_kv_heads": 2,
    "multiple_of": 8,
    "axes_dim_rope": [4, 4, 4],
    "text_feat_dim": 12,
}


def tiny(seed=0):
    """All weights are random, those that begin at zero too."""
    model = OmniGen2Transformer2DModel.from_config(TINY)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for weight in model.parameters():
            weight.copy_(0.2 * torch.randn(weight.shape, generator=generator) + (weight.ndim == 1))
    return model.eval()


def inputs(seed=1, size=(8, 6), num_references=1):
    generator = torch.Generator().manual_seed(seed)

    def draw(*shape):
        return torch.randn(shape, generator=generator)

    return {
        "hidden_states": draw(2, 16, *size),
        "timestep": torch.tensor([0.1, 0.7]),
        "text_hidden_states": draw(2, 5, 12),
        "text_attention_mask": torch.tensor([[1, 1, 1, 1, 1], [1, 1, 1, 0, 0]]),
        "ref_image_hidden_states": [[draw(16, 4, 8)] * num_references] * 2,
    }


def published_shapes():
    """Written down by hand from the public checkpoint's tables."""
    width, heads, time, inner = 2520, 120, 1024, 10240
    shapes = {
        "image_index_embedding": (5, width),
        "time_caption_embed.timestep_embedder.linear_1.weight": (time, 256),
        "time_caption_embed.timestep_embedder.linear_1.bias": (time,),
        "time_caption_embed.timestep_embedder.linear_2.weight": (time, time),
        "time_caption_embed.timestep_embedder.linear_2.bias": (time,),
        "time_caption_embed.caption_embedder.0.weight": (2048,),
        "time_caption_embed.caption_embedder.1.weight": (width, 2048),
        "time_caption_embed.caption_embedder.1.bias": (width,),
        "norm_out.linear_1.weight": (width, time),
        "norm_out.linear_1.bias": (width,),
        "norm_out.linear_2.weight": (64, width),
        "norm_out.linear_2.bias": (64,),
    }
    for name in ("x_embedder", "ref_image_patch_embedder"):
        shapes |= {f"{name}.weight": (width, 64), f"{name}.bias": (width,)}
    block = {
        "attn.to_q": (width, width),
        "attn.to_k": (840, width),
        "attn.to_v": (840, width),
        "attn.to_out.0": (width, width),
        "attn.norm_q": (heads,),
        "attn.norm_k": (heads,),
        "feed_forward.linear_1": (inner, width),
        "feed_forward.linear_2": (width, inner),
        "feed_forward.linear_3": (inner, width),
        "norm2": (width,),
        "ffn_norm1": (width,),
        "ffn_norm2": (width,),
    }
    for group, number in (
        ("layers", 32),
        ("noise_refiner", 2),
        ("ref_image_refiner", 2),
        ("context_refiner", 2),
    ):
        for place in (f"{group}.{n}" for n in range(number)):
            shapes |= {f"{place}.{name}.weight": shape for name, shape in block.items()}
            if group == "context_refiner":
                shapes[f"{place}.norm1.weight"] = (width,)
            else:
                shapes[f"{place}.norm1.linear.weight"] = (4 * width, time)
                shapes[f"{place}.norm1.linear.bias"] = (4 * width,)
                shapes[f"{place}.norm1.norm.weight"] = (width,)
    return shapes


def test_the_public_configuration_has_the_public_tensors():
    with torch.device("meta"):
        model = OmniGen2Transformer2DModel.from_config(PUBLIC)
    found = {name: tuple(one.shape) for name, one in model.state_dict().items()}
    assert found == published_shapes()
    assert len(found) == 582
    assert sum(one.numel() for one in model.parameters()) == 3_967_161_400
    assert list(model.buffers()) == []
    assert model.config.axes_lens == [1024, 1664, 1664]


def test_the_defaults_are_the_public_configuration():
    with torch.device("meta"):
        model = OmniGen2Transformer2DModel()
    stated = {name: one for name, one in PUBLIC.items() if not name.startswith("_")}
    assert json.loads(json.dumps({name: model.config[name] for name in stated})) == stated


def test_a_fresh_model_predicts_nothing():
    model = OmniGen2Transformer2DModel.from_config(TINY)
    assert model(**inputs()).abs().max() == 0


def test_a_saved_model_is_loaded_again(tmp_path):
    model = tiny()
    model.save_pretrained(tmp_path)
    assert json.loads((tmp_path / "config.json").read_text())["_class_name"] == type(model).__name__
    again = OmniGen2Transformer2DModel.from_pretrained(tmp_path)
    assert torch.equal(again(**inputs()), model(**inputs()))


def test_checkpointing_gives_the_same_gradients():
    given, gradients = inputs(), []
    for checkpointing in (False, True):
        model = tiny()
        if checkpointing:
            model.enable_gradient_checkpointing()
        model(**given).square().mean().backward()
        gradients.append([one.grad for one in model.parameters()])
    assert all(torch.equal(one, other) for one, other in zip(*gradients, strict=True))


def test_bf16_is_near_float32_and_keeps_the_latents_shape():
    given = inputs()
    exact = tiny()(**given)
    rough = tiny().bfloat16()(**given)
    assert rough.dtype == torch.bfloat16
    assert rough.shape == exact.shape
    assert (rough.float() - exact).abs().max() < 0.1 * exact.abs().max()


def test_text_and_references_move_the_prediction():
    model, given = tiny(), inputs()
    predicted = model(**given)
    assert torch.equal(model(**given), predicted)
    for changed in (
        {"text_hidden_states": given["text_hidden_states"] + 1},
        {"ref_image_hidden_states": [[-one[0]] for one in given["ref_image_hidden_states"]]},
        {"ref_image_hidden_states": None},
        {"timestep": torch.tensor([0.9, 0.2])},
    ):
        assert (model(**given | changed) - predicted).abs().max() > 1e-3


def test_a_sample_without_references_may_stand_beside_one_that_has_some():
    model, given = tiny(), inputs()
    some = given["ref_image_hidden_states"]
    both = model(**given | {"ref_image_hidden_states": [None, some[1]]})
    neither = model(**given | {"ref_image_hidden_states": None})
    assert torch.allclose(both[0], neither[0], atol=1e-5)
    both.square().sum().backward()
    assert all(one.grad.isfinite().all() for one in model.parameters())


def test_a_sixth_reference_is_refused():
    with pytest.raises(InvalidInputError, match="sample 0: 6 reference pictures, expected 5"):
        tiny()(**inputs(num_references=6))


def test_axes_that_make_up_no_head_are_refused():
    with pytest.raises(ValueError, match=r"expected a sum of hidden_size .* = 12"):
        OmniGen2Transformer2DModel.from_config(TINY | {"axes_dim_rope": [4, 4, 2]})


def test_patches_are_in_reading_order_with_the_channel_fastest():
    latent_CHW = torch.arange(2 * 4 * 6).view(2, 4, 6)
    patches_ND = to_patches(latent_CHW, 2)
    assert patches_ND[1].tolist() == [2, 26, 3, 27, 8, 32, 9, 33]
    assert torch.equal(from_patches(patches_ND, (2, 3), 2), latent_CHW)


def test_each_picture_stands_behind_the_longer_side_of_the_one_before_it():
    places = Positions.of(2, [(1, 3), (2, 1)], (1, 2))
    assert places.text_NA.tolist() == [[0, 0, 0], [1, 1, 1]]
    assert [one.tolist() for one in places.references_NA] == [
        [[2, 0, 0], [2, 0, 1], [2, 0, 2]],
        [[5, 0, 0], [5, 1, 0]],
    ]
    assert places.target_NA.tolist() == [[7, 0, 0], [7, 0, 1]]


def test_rotations_are_those_of_each_axis_one_after_the_other():
    [[turns]] = rotations(torch.tensor([[[1, 2, 3]]]), (4, 2, 2))
    angles = torch.tensor([1.0, 1 / 100, 2.0, 3.0], dtype=torch.float64)
    assert turns.dtype == torch.complex128
    assert torch.allclose(turns.angle(), angles)
