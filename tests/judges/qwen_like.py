"""A small judge with the rules of Qwen's tokenizer: digits split one by one, text in bytes."""

from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

from serving.bench.qwen_vocabulary import SPLITS
from spatialreward.judges.qwen_vl.processor import Processor
from spatialreward.world.tiny_judge import CHAT_TEMPLATE, build_image_processor, build_model

_SPECIAL = (
    "<|endoftext|>",
    "<|im_start|>",
    "<|im_end|>",
    "<|vision_start|>",
    "<|vision_end|>",
    "<|image_pad|>",
    "<|video_pad|>",
)
_TEXTS = (
    '{"edit_region": [{"id": 0, "label": "red hat", "bbox_2d": [1, 2, 3, 4]}], '
    '"reasoning": "<|bbox_0|> it was made red. <|global|> done", "score": [20, 22]}',
    '{"reasoning": "clean", "score": [5, 12]}',
    '{\n  "reasoning": "clean",\n  "score": [\n    5,\n    12\n  ]\n}',
    "You are shown two pictures. Judge them. an image editor was given this instruction",
)


def qwen_like_tokenizer() -> PreTrainedTokenizerFast:
    """Fitted to a few texts in Latin letters; any other character is spelled in bytes."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(SPLITS), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=400,
        special_tokens=list(_SPECIAL),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(_TEXTS * 3, trainer)
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token="<|endoftext|>",
        eos_token="<|im_end|>",
        padding_side="left",
        additional_special_tokens=list(_SPECIAL[1:]),
    )
    # Qwen's tokens for thoughts are no special ones: they stay in a text.
    fast.add_tokens(["<think>", "</think>"])
    fast.chat_template = CHAT_TEMPLATE
    return fast


def qwen_like_parts(seed: int = 1):
    """A model of random weights and its processor."""
    tokenizer = qwen_like_tokenizer()
    processor = Processor(tokenizer, build_image_processor(), square_side=64)
    return build_model(tokenizer, seed), processor
