"""A small judge with the rules of Qwen's tokenizer: digits split one by one, text in bytes."""

from transformers import PreTrainedTokenizerFast

from serving.bench.qwen_vocabulary import fitted_tokenizer
from spatialreward.judges.qwen_vl.processor import Processor
from spatialreward.world.tiny_judge import build_image_processor, build_model

_TEXTS = (
    '{"edit_region": [{"id": 0, "label": "red hat", "bbox_2d": [1, 2, 3, 4]}], '
    '"reasoning": "<|bbox_0|> it was made red. <|global|> done", "score": [20, 22]}',
    '{"reasoning": "clean", "score": [5, 12]}',
    '{\n  "reasoning": "clean",\n  "score": [\n    5,\n    12\n  ]\n}',
    "You are shown two pictures. Judge them. an image editor was given this instruction",
)


def qwen_like_tokenizer() -> PreTrainedTokenizerFast:
    """Fitted to a few texts in Latin letters; any other character is spelled in bytes."""
    return fitted_tokenizer(_TEXTS * 3, 400)


def qwen_like_parts(seed: int = 1):
    """A model of random weights and its processor."""
    tokenizer = qwen_like_tokenizer()
    processor = Processor(tokenizer, build_image_processor(), square_side=64)
    return build_model(tokenizer, seed), processor
