"""The tiny judge: the 8B judge's class at 3 million parameters, with its own tokenizer."""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers

if TYPE_CHECKING:
    from transformers import (
        PreTrainedTokenizerFast,
        Qwen2VLImageProcessorPil,
        Qwen3VLForConditionalGeneration,
    )

PICTURE_SIDE = 64
_PATCH = 8
_VOCABULARY = 1400
# About 1 / sqrt(width). With the 0.02 of wide models it learns to see four times as slowly.
_INITIALIZER_RANGE = 0.06

_SPECIAL_TOKENS = (
    "<|endoftext|>",
    "<|im_start|>",
    "<|im_end|>",
    "<|vision_start|>",
    "<|vision_end|>",
    "<|image_pad|>",
    "<|video_pad|>",
)
# Fixed parts of answers are one pre-token each, and so is a box: answers become short enough to
# train on, and a frequent box becomes one token. Any other text splits into bytes.
_PRE_TOKENS = (
    r'\{"edit_region": \[|\{"id": |, "label": "|", "bbox_2d": '
    r'|\[\d+, \d+, \d+, \d+\]|\}, |\}\], "reasoning": "'
    r'|\], "reasoning": "|\{"reasoning": "|", "score": \[|\]\}|\}|<\|global\|>|<\|bbox_\d+\|>'
    r"|\d+|, |\. | (as|partly as|not) asked| ?[A-Za-z]+|\s+|."
)

CHAT_TEMPLATE = (
    "{%- for message in messages -%}<|im_start|>{{ message.role }}\n"
    "{%- if message.content is string -%}{{ message.content }}"
    "{%- else -%}{%- for part in message.content -%}"
    "{%- if part.type == 'image' -%}<|vision_start|><|image_pad|><|vision_end|>"
    "{%- else -%}{{ part.text }}{%- endif -%}"
    "{%- endfor -%}{%- endif -%}<|im_end|>\n{% endfor -%}"
    "{%- if add_generation_prompt -%}<|im_start|>assistant\n{% endif -%}"
)


def build_tokenizer(texts: Iterable[str]) -> "PreTrainedTokenizerFast":
    """A byte-level BPE tokenizer fitted to ``texts``; it can encode any other text."""
    # Every score must be one token: soft scores come from a single distribution.
    scores = [" ".join(str(score) for score in range(26))] * 100
    fast = fitted_tokenizer([*texts, *scores], _PRE_TOKENS, _VOCABULARY, _SPECIAL_TOKENS)
    fast.chat_template = CHAT_TEMPLATE
    return fast


def fitted_tokenizer(
    texts: Iterable[str], splits: str, size: int, special_tokens: Sequence[str]
) -> "PreTrainedTokenizerFast":
    """A byte-level BPE tokenizer without a chat template.

    Args:
        texts: training texts.
        splits: pattern of the pieces that tokens cannot cross.
        size: limit of the vocabulary.
        special_tokens: the first one pads.
    """
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(splits), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=size,
        special_tokens=list(special_tokens),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token="<|endoftext|>",
        eos_token="<|im_end|>",
        padding_side="left",
        additional_special_tokens=list(special_tokens[1:]),
    )


def build_image_processor() -> "Qwen2VLImageProcessorPil":
    """Patches of 8 pixels, pictures of 64 x 64: 16 visual tokens a picture."""
    from transformers import Qwen2VLImageProcessorPil

    pixels = PICTURE_SIDE * PICTURE_SIDE
    return Qwen2VLImageProcessorPil(
        patch_size=_PATCH,
        temporal_patch_size=1,
        merge_size=2,
        size={"shortest_edge": pixels, "longest_edge": pixels},
        image_mean=[0.5] * 3,
        image_std=[0.25] * 3,
    )


def build_model(
    tokenizer: "PreTrainedTokenizerFast", seed: int
) -> "Qwen3VLForConditionalGeneration":
    """A randomly initialised model; deterministic for a seed."""
    import torch
    from transformers import Qwen3VLConfig, Qwen3VLForConditionalGeneration

    from spatialreward.judges.qwen_vl.faster import make_faster

    def token_id(token: str) -> int:
        return tokenizer.convert_tokens_to_ids(token)

    config = Qwen3VLConfig(
        text_config={
            "vocab_size": len(tokenizer),
            "hidden_size": 192,
            "intermediate_size": 512,
            "num_hidden_layers": 5,
            "num_attention_heads": 6,
            "num_key_value_heads": 6,
            "head_dim": 32,
            "max_position_embeddings": 8192,
            "initializer_range": _INITIALIZER_RANGE,
            "rope_parameters": {
                "rope_type": "default",
                "rope_theta": 10_000.0,
                "mrope_section": [6, 5, 5],
                "mrope_interleaved": True,
            },
            "tie_word_embeddings": True,
            "pad_token_id": tokenizer.pad_token_id,
        },
        vision_config={
            "depth": 3,
            "hidden_size": 128,
            "intermediate_size": 384,
            "num_heads": 4,
            "patch_size": _PATCH,
            "temporal_patch_size": 1,
            "spatial_merge_size": 2,
            "out_hidden_size": 192,
            "num_position_embeddings": (PICTURE_SIDE // _PATCH) ** 2,
            "deepstack_visual_indexes": [0, 1],
            "initializer_range": _INITIALIZER_RANGE,
        },
        image_token_id=token_id("<|image_pad|>"),
        video_token_id=token_id("<|video_pad|>"),
        vision_start_token_id=token_id("<|vision_start|>"),
        vision_end_token_id=token_id("<|vision_end|>"),
        tie_word_embeddings=True,
    )
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = Qwen3VLForConditionalGeneration(config)
    model.generation_config.eos_token_id = tokenizer.eos_token_id
    model.generation_config.pad_token_id = tokenizer.pad_token_id
    make_faster(model)
    return model
