"""A judge in the shape of Qwen3-VL with random weights and a tokenizer by Qwen's rules."""

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from serving.bench.qwen_vocabulary import fitted_tokenizer

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel, PreTrainedTokenizerFast

    from spatialreward.judges.qwen_vl.processor import Processor

_TOKENS = ("image", "video", "vision_start", "vision_end")
_NAMES = {"image": "image_pad", "video": "video_pad"}


class Tower(NamedTuple):
    """Of the language model, or of the vision part."""

    width: int
    mlp_width: int
    layers: int
    heads: int


class Shape(NamedTuple):
    """Shape of a random judge; the rest is as in the public configurations."""

    language: Tower
    vision: Tower
    vocabulary: int
    """Rows of the embedding; at least the number of tokens."""
    patch_px: int
    pixels: tuple[int, int]
    """Fewest and most of a picture."""
    initializer_range: float = 0.02
    key_heads: int | None = None
    """Heads of keys and values; None: half as many as of queries."""
    tied: bool = True
    """Whether the output shares its weights with the embedding."""
    deepstack: tuple[int, ...] = (0,)
    """Layers of the vision part that feed the first layers of the language model."""


def write_random_judge(folder: Path, shape: Shape, texts: Iterable[str], *, seed: int) -> int:
    """Write a checkpoint without a protocol; returns its number of weights.

    Args:
        folder: new, for the checkpoint.
        shape: of the model.
        texts: training texts of the tokenizer.
        seed: of the weights.
    """
    from spatialreward.judges.qwen_vl import checkpoint

    model, processor = random_judge(shape, texts, seed=seed)
    checkpoint.save(folder, model, processor, {"kind": "random weights"})
    return model.num_parameters()


def random_judge(
    shape: Shape, texts: Iterable[str], *, seed: int, dtype: "torch.dtype | None" = None
) -> "tuple[PreTrainedModel, Processor]":
    """The same in memory, on torch's default device; ``dtype`` defaults to float32."""
    import torch
    from transformers import (
        Qwen2VLImageProcessorPil,
        Qwen3VLConfig,
        Qwen3VLForConditionalGeneration,
    )

    from spatialreward.judges.qwen_vl.processor import Processor

    tokenizer = fitted_tokenizer(texts, shape.vocabulary - 2)
    pictures = Qwen2VLImageProcessorPil(
        patch_size=shape.patch_px,
        temporal_patch_size=2,
        merge_size=2,
        size={"shortest_edge": shape.pixels[0], "longest_edge": shape.pixels[1]},
        image_mean=[0.5] * 3,
        image_std=[0.5] * 3,
    )
    config = Qwen3VLConfig(**_config(shape, tokenizer), dtype=dtype or torch.float32)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = Qwen3VLForConditionalGeneration._from_config(config)
    model.generation_config.eos_token_id = tokenizer.eos_token_id
    model.generation_config.pad_token_id = tokenizer.pad_token_id
    return model, Processor(tokenizer, pictures, None)


def _config(shape: Shape, tokenizer: "PreTrainedTokenizerFast") -> dict[str, object]:
    language, vision = shape.language, shape.vision
    head = language.width // language.heads
    # A rotation of each pair of a head's numbers: for time, height and width.
    turns = head // 2
    sides = turns // 3
    side_patches = round(shape.pixels[1] ** 0.5) // shape.patch_px
    ids = {
        f"{name}_token_id": tokenizer.convert_tokens_to_ids(f"<|{_NAMES.get(name, name)}|>")
        for name in _TOKENS
    }
    return {
        "text_config": {
            "vocab_size": shape.vocabulary,
            "hidden_size": language.width,
            "intermediate_size": language.mlp_width,
            "num_hidden_layers": language.layers,
            "num_attention_heads": language.heads,
            "num_key_value_heads": shape.key_heads or language.heads // 2,
            "head_dim": head,
            "max_position_embeddings": 8_192,
            "initializer_range": shape.initializer_range,
            "tie_word_embeddings": shape.tied,
            "rope_parameters": {
                "rope_type": "default",
                "rope_theta": 5_000_000.0,
                "mrope_section": [turns - 2 * sides, sides, sides],
                "mrope_interleaved": True,
            },
        },
        "vision_config": {
            "depth": vision.layers,
            "hidden_size": vision.width,
            "intermediate_size": vision.mlp_width,
            "num_heads": vision.heads,
            "patch_size": shape.patch_px,
            "temporal_patch_size": 2,
            "spatial_merge_size": 2,
            "out_hidden_size": language.width,
            "num_position_embeddings": side_patches**2,
            "deepstack_visual_indexes": list(shape.deepstack),
            "initializer_range": shape.initializer_range,
        },
        "tie_word_embeddings": shape.tied,
        **ids,
    }
