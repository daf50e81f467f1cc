"""The bytes and scores that a tokenizer's tokens spell; free of torch.

A score is one token in a vocabulary that has 0..25 (``Whole``), and one token a digit in one that
splits numbers, as Qwen's does (``Digits``).
"""

import re
from collections.abc import Iterable, Mapping
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

from spatialreward.errors import InvalidInputError
from spatialreward.records import MAX_SCORE

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

NUM_SCORES = int(MAX_SCORE) + 1
_WHITE_SPACE = b" \t\n\r"
_ENDING = _WHITE_SPACE + b",]}"
_INTO_A_NUMBER = re.compile(rb"[^0-9][0-9]")
_SECOND_DIGITS: Mapping[int, int] = {1: 10, 2: NUM_SCORES - 20}
"""Number of digits that may follow a first one: 10 to 19, 20 to 25."""


class Whole(NamedTuple):
    """The tokens of the scores 0..25, in order."""

    scores: tuple[int, ...]


class Digits(NamedTuple):
    """The tokens of the digits 0..9, in order, and of what may follow a number."""

    digits: tuple[int, ...]
    endings: tuple[int, ...]

    def branches(self) -> dict[int, int]:
        """Tokens by first digit, of those that a second one may follow."""
        return {digit: self.digits[digit] for digit in _SECOND_DIGITS}

    def after(self, first: int) -> tuple[int, ...]:
        """The tokens of second digits after a first one; empty for most."""
        return self.digits[: _SECOND_DIGITS.get(first, 0)]


ScoreTokens = Whole | Digits


class Vocabulary:
    """The tokens of a byte-level tokenizer, each as the bytes it stands for."""

    def __init__(self, tokenizer: "PreTrainedTokenizerFast") -> None:
        """Use a tokenizer."""
        self._tokenizer = tokenizer

    @cached_property
    def bytes_of(self) -> dict[int, bytes]:
        """The bytes of each token; special ones, which end or frame a text, are omitted.

        Raises:
            InvalidInputError: the tokenizer is not byte-level.
        """
        from transformers.convert_slow_tokenizer import bytes_to_unicode

        byte_of = {character: byte for byte, character in bytes_to_unicode().items()}
        added = self._tokenizer.added_tokens_decoder
        special = set(self._tokenizer.all_special_ids)
        spelled = {}
        for text, token in self._tokenizer.get_vocab().items():
            if token in special or (token in added and added[token].special):
                continue
            if token in added:
                spelled[token] = added[token].content.encode()
                continue
            try:
                spelled[token] = bytes(byte_of[character] for character in text)
            except KeyError as error:
                raise InvalidInputError(
                    f"tokenizer: token {token} ({text!r}) does not spell bytes; expected a "
                    "byte-level tokenizer, as Qwen's"
                ) from error
        return spelled

    @cached_property
    def scores(self) -> ScoreTokens | None:
        """How scores are spelled; None if neither a score nor a digit is one token."""
        whole = self._single(range(NUM_SCORES))
        if whole is not None:
            return Whole(whole)
        digits = self._single(range(10))
        if digits is None:
            return None
        endings = (token for token, text in self.bytes_of.items() if _ends_a_number(text))
        return Digits(digits, tuple(sorted(endings)))

    @cached_property
    def first_tokens(self) -> frozenset[int]:
        """The tokens that can begin a score; empty for other spellings."""
        match self.scores:
            case Whole(scores):
                return frozenset(scores)
            case Digits(digits):
                return frozenset(digits)
            case None:
                return frozenset()

    @cached_property
    def white_space(self) -> tuple[int, ...]:
        """Tokens of white space alone."""
        return tuple(sorted(t for t, text in self.bytes_of.items() if text and text.isspace()))

    @cached_property
    def numeric(self) -> tuple[int, ...]:
        """Tokens that begin with a digit."""
        return tuple(sorted(t for t, text in self.bytes_of.items() if text[:1].isdigit()))

    @cached_property
    def crossing(self) -> tuple[int, ...]:
        """Tokens in which a number begins after another character, such as ``[2``.

        Such a number has no distribution. Qwen's vocabulary has none of them.
        """
        spelled = self.bytes_of.items()
        return tuple(sorted(token for token, text in spelled if _INTO_A_NUMBER.search(text)))

    def _single(self, numbers: Iterable[int]) -> tuple[int, ...] | None:
        encoded = [
            self._tokenizer(str(number), add_special_tokens=False)["input_ids"]
            for number in numbers
        ]
        if any(len(tokens) != 1 for tokens in encoded):
            return None
        return tuple(tokens[0] for tokens in encoded)


def _ends_a_number(text: bytes) -> bool:
    """Whether a token is only what JSON allows after a number in an array."""
    rest = text.lstrip(_WHITE_SPACE)
    return bool(text) and not text.strip(_ENDING) and (not rest or rest[:1] in b",]")
