"""OmniGen2 with random weights, in memory, or with toy widths as a folder in the published layout.

Its edits are noise; it tests the integration.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple

from spatialreward.world.tiny_judge import build_tokenizer

if TYPE_CHECKING:
    import torch
    from diffusers import AutoencoderKL
    from transformers import PreTrainedTokenizerBase, Qwen2_5_VLForConditionalGeneration

    from spatialreward.editors.omnigen2.editor import OmniGen2Parts
    from spatialreward.editors.omnigen2.transformer import OmniGen2Transformer2DModel

_LATENT_CHANNELS = 16
_PICTURES_WIDTH, _PICTURES_HEADS = 32, 2
_CHAT_TEMPLATE = (
    "{%- for message in messages -%}"
    "{{ '<|im_start|>' + message.role + '\\n' + message.content + '<|im_end|>\\n' }}"
    "{%- endfor -%}"
    "{%- if add_generation_prompt -%}{{ '<|im_start|>assistant\\n' }}{%- endif -%}"
)
_TEXTS = (
    "system: you are a helpful assistant that makes images based on user instructions.",
    "user: make the red square blue, add a circle, and remove the large triangle",
)
_INDEX = {
    "_class_name": "OmniGen2Pipeline",
    "_diffusers_version": "0.33.1",
    "mllm": ["transformers", "Qwen2_5_VLForConditionalGeneration"],
    "processor": ["transformers", "Qwen2_5_VLProcessor"],
    "scheduler": [
        "scheduling_flow_match_euler_discrete_time_shifting",
        "FlowMatchEulerDiscreteScheduler",
    ],
    "transformer": ["transformer_omnigen2", "OmniGen2Transformer2DModel"],
    "vae": ["diffusers", "AutoencoderKL"],
}


class Shape(NamedTuple):
    """Sizes of an editor, by the names in the configurations; the rest is as published."""

    transformer: Mapping[str, Any]
    """Differences from the published one."""
    vae: Mapping[str, Any]
    text: Mapping[str, Any]
    """Of the language model; its vocabulary is the tokenizer's unless given."""
    change: float
    """Deviation of the weights that start at 0 in a new transformer, which then predicts 0."""


TOY = Shape(
    transformer=MappingProxyType(
        {
            "hidden_size": 48,
            "num_layers": 2,
            "num_refiner_layers": 1,
            "num_attention_heads": 4,
            "num_kv_heads": 2,
            "multiple_of": 16,
            "axes_dim_rope": (4, 4, 4),
            "axes_lens": (1024, 64, 64),
            "text_feat_dim": 32,
        }
    ),
    vae=MappingProxyType(
        {"block_out_channels": (8,) * 4, "layers_per_block": 1, "norm_num_groups": 4}
    ),
    text=MappingProxyType(
        {
            "hidden_size": 32,
            "intermediate_size": 64,
            "num_hidden_layers": 2,
            "num_attention_heads": 2,
            "num_key_value_heads": 2,
        }
    ),
    change=0.2,
)
"""Small enough for tests."""


def write_omnigen2(folder: Path, seed: int = 0) -> None:
    """Write an editor of OmniGen2's classes at toy widths.

    Args:
        folder: target folder.
        seed: of the weights.
    """
    parts = random_omnigen2(TOY, seed)
    parts.transformer.save_pretrained(folder / "transformer")
    parts.vae.save_pretrained(folder / "vae")
    parts.mllm.save_pretrained(folder / "mllm")
    parts.tokenizer.save_pretrained(folder / "processor")
    scheduler = {"_class_name": "FlowMatchEulerDiscreteScheduler", "num_train_timesteps": 1000}
    (folder / "scheduler").mkdir()
    for path, content in (
        (folder / "scheduler" / "scheduler_config.json", scheduler),
        (folder / "model_index.json", _INDEX),
    ):
        path.write_text(json.dumps(content, indent=2) + "\n")


def random_omnigen2(
    shape: Shape, seed: int = 0, dtype: "torch.dtype | None" = None
) -> "OmniGen2Parts":
    """The components of an editor in memory, on torch's default device.

    Args:
        shape: their sizes. The text encoder's vision part is always small: the editor does not use
            it.
        seed: of the weights.
        dtype: of the transformer and the text encoder; default float32, as for the VAE.
    """
    import torch

    from spatialreward.editors.omnigen2.editor import OmniGen2Parts

    tokenizer = build_tokenizer(_TEXTS)
    tokenizer.chat_template = _CHAT_TEMPLATE
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        # In sequence, so that 32-bit copies of both never coexist.
        transformer = _transformer(shape).to(dtype or torch.float32)
        vae = _vae(shape)
        mllm = _mllm(shape, tokenizer).to(dtype or torch.float32)
    return OmniGen2Parts(transformer, vae, mllm, tokenizer)


def _transformer(shape: Shape) -> "OmniGen2Transformer2DModel":
    import torch

    from spatialreward.editors.omnigen2.transformer import OmniGen2Transformer2DModel

    transformer = OmniGen2Transformer2DModel(**shape.transformer)
    for name, weight in transformer.named_parameters():
        # A new one starts at zero there and predicts nothing.
        if "norm_out" in name or "norm1.linear" in name:
            torch.nn.init.normal_(weight, std=shape.change)
    return transformer


def _vae(shape: Shape) -> "AutoencoderKL":
    from diffusers import AutoencoderKL

    return AutoencoderKL(
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        latent_channels=_LATENT_CHANNELS,
        scaling_factor=0.3611,
        shift_factor=0.1159,
        use_quant_conv=False,
        use_post_quant_conv=False,
        **shape.vae,
    )


def _mllm(
    shape: Shape, tokenizer: "PreTrainedTokenizerBase"
) -> "Qwen2_5_VLForConditionalGeneration":
    from transformers import Qwen2_5_VLConfig, Qwen2_5_VLForConditionalGeneration

    # For time, height and width, in proportion 2 to 3 to 3; together half of a head's numbers.
    eighth = shape.text["hidden_size"] // shape.text["num_attention_heads"] // 16
    sections = [2 * eighth, 3 * eighth, 3 * eighth]
    turns = {"rope_type": "default", "rope_theta": 1e6, "mrope_section": sections}
    begin, end, image = tokenizer.convert_tokens_to_ids(
        ["<|vision_start|>", "<|vision_end|>", "<|image_pad|>"]
    )
    config = Qwen2_5_VLConfig(
        text_config={
            "vocab_size": len(tokenizer),
            "rope_parameters": turns,
            "bos_token_id": tokenizer.pad_token_id,
            "eos_token_id": tokenizer.eos_token_id,
            **shape.text,
        },
        vision_config={
            "depth": 1,
            "hidden_size": _PICTURES_WIDTH,
            "intermediate_size": 2 * _PICTURES_WIDTH,
            "num_heads": _PICTURES_HEADS,
            "out_hidden_size": shape.text["hidden_size"],
            "fullatt_block_indexes": [0],
        },
        vision_start_token_id=begin,
        vision_end_token_id=end,
        image_token_id=image,
        video_token_id=image,
    )
    return Qwen2_5_VLForConditionalGeneration(config)
