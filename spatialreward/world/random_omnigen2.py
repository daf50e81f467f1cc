"""An OmniGen2 of random weights at toy widths, as a folder in the published layout.

It edits nothing: its pictures are noise. It shows that every wire is right.
"""

import json
from pathlib import Path
from typing import TYPE_CHECKING

from spatialreward.world.tiny_judge import build_tokenizer

if TYPE_CHECKING:
    from diffusers import AutoencoderKL
    from transformers import PreTrainedTokenizerBase, Qwen2_5_VLForConditionalGeneration

    from spatialreward.editors.omnigen2.transformer import OmniGen2Transformer2DModel

_WIDTH, _HEADS, _KEY_HEADS, _LAYERS = 48, 4, 2, 2
_TEXT_WIDTH, _TEXT_HEADS = 32, 2
_LATENT_CHANNELS = 16
_VAE_WIDTH = 8
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


def write_omnigen2(folder: Path, seed: int = 0) -> None:
    """Write an editor of OmniGen2's classes.

    Args:
        folder: where to.
        seed: of the weights.
    """
    import torch

    tokenizer = build_tokenizer(_TEXTS)
    tokenizer.chat_template = _CHAT_TEMPLATE
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        _transformer().save_pretrained(folder / "transformer")
        _vae().save_pretrained(folder / "vae")
        _mllm(tokenizer).save_pretrained(folder / "mllm")
    tokenizer.save_pretrained(folder / "processor")
    scheduler = {"_class_name": "FlowMatchEulerDiscreteScheduler", "num_train_timesteps": 1000}
    (folder / "scheduler").mkdir()
    for path, content in (
        (folder / "scheduler" / "scheduler_config.json", scheduler),
        (folder / "model_index.json", _INDEX),
    ):
        path.write_text(json.dumps(content, indent=2) + "\n")


def _transformer() -> "OmniGen2Transformer2DModel":
    import torch

    from spatialreward.editors.omnigen2.transformer import OmniGen2Transformer2DModel

    transformer = OmniGen2Transformer2DModel(
        hidden_size=_WIDTH,
        num_layers=_LAYERS,
        num_refiner_layers=1,
        num_attention_heads=_HEADS,
        num_kv_heads=_KEY_HEADS,
        multiple_of=16,
        axes_dim_rope=(4, 4, 4),
        axes_lens=(1024, 64, 64),
        text_feat_dim=_TEXT_WIDTH,
    )
    for name, weight in transformer.named_parameters():
        # A fresh one begins at zero there and predicts nothing.
        if "norm_out" in name or "norm1.linear" in name:
            torch.nn.init.normal_(weight, std=0.2)
    return transformer


def _vae() -> "AutoencoderKL":
    from diffusers import AutoencoderKL

    return AutoencoderKL(
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        block_out_channels=(_VAE_WIDTH,) * 4,
        layers_per_block=1,
        norm_num_groups=4,
        latent_channels=_LATENT_CHANNELS,
        scaling_factor=0.3611,
        shift_factor=0.1159,
        use_quant_conv=False,
        use_post_quant_conv=False,
    )


def _mllm(tokenizer: "PreTrainedTokenizerBase") -> "Qwen2_5_VLForConditionalGeneration":
    from transformers import Qwen2_5_VLConfig, Qwen2_5_VLForConditionalGeneration

    # For time, height and width; together half of a head's numbers.
    turns = {"rope_type": "default", "rope_theta": 1e6, "mrope_section": [2, 3, 3]}
    begin, end, image = tokenizer.convert_tokens_to_ids(
        ["<|vision_start|>", "<|vision_end|>", "<|image_pad|>"]
    )
    config = Qwen2_5_VLConfig(
        text_config={
            "vocab_size": len(tokenizer),
            "hidden_size": _TEXT_WIDTH,
            "intermediate_size": 2 * _TEXT_WIDTH,
            "num_hidden_layers": _LAYERS,
            "num_attention_heads": _TEXT_HEADS,
            "num_key_value_heads": _TEXT_HEADS,
            "rope_parameters": turns,
            "bos_token_id": tokenizer.pad_token_id,
            "eos_token_id": tokenizer.eos_token_id,
        },
        vision_config={
            "depth": 1,
            "hidden_size": _TEXT_WIDTH,
            "intermediate_size": 2 * _TEXT_WIDTH,
            "num_heads": _TEXT_HEADS,
            "out_hidden_size": _TEXT_WIDTH,
            "fullatt_block_indexes": [0],
        },
        vision_start_token_id=begin,
        vision_end_token_id=end,
        image_token_id=image,
        video_token_id=image,
    )
    return Qwen2_5_VLForConditionalGeneration(config)
