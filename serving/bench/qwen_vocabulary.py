"""The tokenizer of the public Qwen checkpoints, and small ones with its rules.

The full one is built from the ranks in the wheel ``dashscope``: vocabulary, merges,
pre-tokenisation and added tokens are the public ones; ``make bench-real-shaped`` downloads the
file. Only the chat template is the project's own, shorter one.
"""

import base64
import itertools
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from spatialreward.errors import InvalidInputError
from spatialreward.world.tiny_judge import CHAT_TEMPLATE

if TYPE_CHECKING:
    from tokenizers import Tokenizer
    from transformers import PreTrainedTokenizerFast

SPLITS = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
_SPECIAL = (
    *("endoftext", "im_start", "im_end", "object_ref_start", "object_ref_end", "box_start"),
    *("box_end", "quad_start", "quad_end", "vision_start", "vision_end", "vision_pad"),
    *("image_pad", "video_pad"),
)
_MARKS = ("fim_prefix", "fim_middle", "fim_suffix", "fim_pad", "repo_name", "file_sep")
_PLAIN = (
    *("<tool_call>", "</tool_call>", *(f"<|{name}|>" for name in _MARKS)),
    *("<tool_response>", "</tool_response>", "<think>", "</think>"),
)
_FITTED_SPECIAL = (
    *("<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|vision_start|>", "<|vision_end|>"),
    *("<|image_pad|>", "<|video_pad|>"),
)


def read_ranks(path: Path) -> dict[bytes, int]:
    """The rank of each token of a file in tiktoken's form: base64 and a number a line.

    Raises:
        InvalidInputError: it is not such a file.
    """
    try:
        lines = (line.split() for line in path.read_bytes().splitlines() if line)
        return {base64.b64decode(token, validate=True): int(rank) for token, rank in lines}
    except (OSError, ValueError) as error:
        raise InvalidInputError(f"{path}: is no file of ranks: {error}") from error


def qwen_tokenizer(ranks: Mapping[bytes, int]) -> "PreTrainedTokenizerFast":
    """A fast tokenizer with these ranks, and Qwen's rules and added tokens."""
    from transformers import PreTrainedTokenizerFast

    fast = PreTrainedTokenizerFast(
        tokenizer_object=_tokenizer(ranks),
        pad_token="<|endoftext|>",
        eos_token="<|im_end|>",
        padding_side="left",
        clean_up_tokenization_spaces=False,
        additional_special_tokens=[f"<|{name}|>" for name in _SPECIAL[1:]],
    )
    fast.chat_template = CHAT_TEMPLATE
    return fast


def fitted_tokenizer(texts: Iterable[str], size: int) -> "PreTrainedTokenizerFast":
    """A tokenizer of at most ``size`` tokens, fitted to ``texts`` with Qwen's rules.

    Digits are split one by one, any other character is spelled in bytes, and the tokens for
    thoughts are ordinary
    ones: decoding keeps them.
    """
    from spatialreward.world import tiny_judge

    fast = tiny_judge.fitted_tokenizer(texts, SPLITS, size, _FITTED_SPECIAL)
    fast.add_tokens(["<think>", "</think>"])
    fast.chat_template = CHAT_TEMPLATE
    return fast


def _tokenizer(ranks: Mapping[bytes, int]) -> "Tokenizer":
    from tokenizers import (
        AddedToken,
        Regex,
        Tokenizer,
        decoders,
        models,
        normalizers,
        pre_tokenizers,
    )
    from transformers.convert_slow_tokenizer import bytes_to_unicode

    character_of = bytes_to_unicode()

    def spelled(token: bytes) -> str:
        return "".join(character_of[byte] for byte in token)

    vocabulary = {spelled(token): rank for token, rank in ranks.items()}
    merges = [(spelled(left), spelled(right)) for left, right in _merges(ranks)]
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=merges))
    tokenizer.normalizer = normalizers.NFC()
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(SPLITS), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens(
        [AddedToken(f"<|{name}|>", special=True, normalized=False) for name in _SPECIAL]
    )
    tokenizer.add_tokens([AddedToken(text, special=False, normalized=False) for text in _PLAIN])
    return tokenizer


def _merges(ranks: Mapping[bytes, int]) -> Iterator[tuple[bytes, bytes]]:
    """The two parts of each merged token, in the order of the ranks."""
    for token, rank in sorted(ranks.items(), key=lambda one: one[1]):
        if len(token) > 1:
            parts = _parts(token, rank, ranks)
            if len(parts) == 2:
                yield parts[0], parts[1]


def _parts(token: bytes, rank: int, ranks: Mapping[bytes, int]) -> list[bytes]:
    """A token's bytes after the merges of lower rank."""
    parts = [token[at : at + 1] for at in range(len(token))]
    while len(parts) > 2:
        merged = [
            (ranks.get(left + right, rank), at)
            for at, (left, right) in enumerate(itertools.pairwise(parts))
        ]
        lowest, at = min(merged)
        if lowest >= rank:
            return parts
        parts[at : at + 2] = [parts[at] + parts[at + 1]]
    return parts
