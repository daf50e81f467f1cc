"""Instructions and reasoning as bare words, independent of spelling, articles and punctuation."""

import hashlib
import re
import unicodedata
from collections.abc import Sequence

_WORD = re.compile(r"[^\W_]+(?:['\u2019][^\W_]+)*")
_TAG = re.compile(r"<\|[^|<>]*\|>")
# Words that vary between two wordings of one instruction.
_FILLERS = frozenset(
    ("a", "an", "the", "this", "that", "please", "kindly", "can", "could", "would", "you")
)


def words_of(text: str) -> list[str]:
    """The words of a text in order, in lower case, without punctuation and ``<|tags|>``.

    In texts without spaces, as in Chinese, each phrase is one word.
    """
    folded = unicodedata.normalize("NFKC", _TAG.sub(" ", text)).casefold().replace("\u2019", "'")
    return _WORD.findall(folded)


def instruction_words(instruction: str) -> list[str]:
    """The significant words of an instruction, in order; all of them if none is."""
    words = words_of(instruction)
    return [word for word in words if word not in _FILLERS] or words


def text_key(words: Sequence[str]) -> int:
    """A 64-bit key of a sequence of words, identical on every machine."""
    digest = hashlib.blake2b("\x1f".join(words).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little")


def n_gram_keys(words: Sequence[str], length: int) -> set[int]:
    """Keys of all sequences of ``length`` words."""
    return {text_key(words[at : at + length]) for at in range(len(words) - length + 1)}
