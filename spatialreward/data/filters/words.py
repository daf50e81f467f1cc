"""Instructions and reasoning as bare words, so that spelling, articles and marks do not matter."""

import hashlib
import re
import unicodedata
from collections.abc import Sequence

_WORD = re.compile(r"[^\W_]+(?:['\u2019][^\W_]+)*")
_TAG = re.compile(r"<\|[^|<>]*\|>")
# Words that come and go between two wordings of one instruction.
_FILLERS = frozenset(
    ("a", "an", "the", "this", "that", "please", "kindly", "can", "could", "would", "you")
)


def words_of(text: str) -> list[str]:
    """The words of a text in order, in small letters, without marks and ``<|tags|>``.

    Texts without spaces, as in Chinese, are one word a phrase.
    """
    folded = unicodedata.normalize("NFKC", _TAG.sub(" ", text)).casefold().replace("\u2019", "'")
    return _WORD.findall(folded)


def instruction_words(instruction: str) -> list[str]:
    """The words that an instruction's meaning hangs on, in order; all of them if none does."""
    words = words_of(instruction)
    return [word for word in words if word not in _FILLERS] or words


def text_key(words: Sequence[str]) -> int:
    """64 bits that stand for a sequence of words, the same on every machine."""
    digest = hashlib.blake2b("\x1f".join(words).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little")


def n_gram_keys(words: Sequence[str], length: int) -> set[int]:
    """Keys of all runs of ``length`` words."""
    return {text_key(words[at : at + length]) for at in range(len(words) - length + 1)}
