"""Small checkpoints of every architecture, random and in the layout of the public ones."""

import json
import shutil

import torch
from transformers import (
    Qwen2_5_VLConfig,
    Qwen2_5_VLForConditionalGeneration,
    Qwen2VLImageProcessorPil,
    Qwen3VLConfig,
    Qwen3VLForConditionalGeneration,
    Qwen3VLMoeConfig,
    Qwen3VLMoeForConditionalGeneration,
)

from spatialreward.judges.qwen_vl.processor import Processor
from spatialreward.world.shipped import SHIPPED_BASE

_TEXT = {
    "hidden_size": 48,
    "intermediate_size": 64,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 12,
    "max_position_embeddings": 4096,
    # Large enough for answers that differ from picture to picture.
    "initializer_range": 0.3,
}
_EXPERTS = {
    "num_experts": 4,
    "num_experts_per_tok": 2,
    "moe_intermediate_size": 40,
    "decoder_sparse_step": 1,
    "mlp_only_layers": [1],
}
_VISION = {
    "depth": 2,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_heads": 2,
    "temporal_patch_size": 1,
    "spatial_merge_size": 2,
    "out_hidden_size": 48,
    "initializer_range": 0.3,
}
_QWEN3_VISION = {
    "patch_size": 8,
    "num_position_embeddings": 64,
    "deepstack_visual_indexes": [0],
}
_QWEN2_VISION = {
    "patch_size": 8,
    "window_size": 32,
    "fullatt_block_indexes": [1],
}


def _positions(sections, **more):
    return {"rope_type": "default", "rope_theta": 10_000.0, "mrope_section": sections} | more


def small_model(model_type, tokenizer, *, tied=True, seed=3, **text):
    """Random weights; the same for the same arguments."""
    ids = {
        f"{name}_token_id": tokenizer.convert_tokens_to_ids(token)
        for name, token in (
            ("image", "<|image_pad|>"),
            ("video", "<|video_pad|>"),
            ("vision_start", "<|vision_start|>"),
            ("vision_end", "<|vision_end|>"),
        )
    }
    common = _TEXT | {
        "vocab_size": len(tokenizer),
        "tie_word_embeddings": tied,
        "pad_token_id": tokenizer.pad_token_id,
        "bos_token_id": None,
        "eos_token_id": tokenizer.eos_token_id,
    }
    interleaved = {"rope_parameters": _positions([2, 2, 2], mrope_interleaved=True)}
    match model_type:
        case "qwen3_vl":
            kind, text_config, vision = Qwen3VLForConditionalGeneration, interleaved, _QWEN3_VISION
            config_class = Qwen3VLConfig
        case "qwen3_vl_moe":
            kind, vision = Qwen3VLMoeForConditionalGeneration, _QWEN3_VISION
            text_config, config_class = interleaved | _EXPERTS, Qwen3VLMoeConfig
        case "qwen2_5_vl":
            kind, vision = Qwen2_5_VLForConditionalGeneration, _QWEN2_VISION
            text_config, config_class = {"rope_parameters": _positions([2, 2, 2])}, Qwen2_5_VLConfig
    config = config_class(
        text_config=common | text_config | text,
        vision_config=_VISION | vision,
        tie_word_embeddings=tied,
        **ids,
    )
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = kind(config)
        # Biases and norms begin at 0 and 1; random ones show whether each is loaded.
        for name, parameter in model.named_parameters():
            if parameter.dim() == 1:
                torch.nn.init.normal_(parameter, 0.0 if name.endswith("bias") else 1.0, 0.1)
        for part in (model.get_input_embeddings(), model.lm_head):
            part.weight.data[_unprintable(tokenizer)] = 0.0
    model.generation_config.eos_token_id = tokenizer.eos_token_id
    model.generation_config.pad_token_id = tokenizer.pad_token_id
    return model.eval()


def _unprintable(tokenizer):
    """Tokens whose logit is 0, so that no answer has them: parts of letters, markers, JSON's."""
    texts = [tokenizer.decode([token]) for token in range(len(tokenizer))]
    special = set(tokenizer.all_special_tokens) - {tokenizer.eos_token}
    return [
        number
        for number, text in enumerate(texts)
        if text in special or not (text.isascii() and text.isprintable()) or set(text) & set('{}"')
    ]


def image_processor():
    """Patches of 8 pixels, 16 x 16 pixels a visual token."""
    return Qwen2VLImageProcessorPil(
        patch_size=8,
        temporal_patch_size=1,
        merge_size=2,
        size={"shortest_edge": 1024, "longest_edge": 4096},
        image_mean=[0.5] * 3,
        image_std=[0.25] * 3,
    )


def write_model(folder, model, tokenizer, **saving):
    """A folder as the hub has them: no protocol, no card."""
    processor = Processor(tokenizer, image_processor(), None)
    folder.mkdir(parents=True, exist_ok=True)
    model.save_pretrained(folder, **saving)
    processor.save(folder)
    return folder


def copied(folder, out, *, without=()):
    """A copy that may be damaged."""
    shutil.copytree(folder, out, ignore=shutil.ignore_patterns(*without))
    return out


def with_json(path, **changes):
    """Change some keys of a JSON file; None removes one."""
    content = json.loads(path.read_text()) | changes
    path.write_text(json.dumps({key: value for key, value in content.items() if value is not None}))


SHIPPED = SHIPPED_BASE
