"""An answer during generation, token by token, and the interface of engines."""

import codecs
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import NamedTuple, Protocol

from spatialreward.judges.interface import Measure, ignore
from spatialreward.judges.questions import Question
from spatialreward.protocol.scanning import THOUGHT_BEGINS, AnswerScanner
from spatialreward.records import AnswerForm

_INCREMENTAL = codecs.getincrementaldecoder("utf-8")


class Generated(NamedTuple):
    """One answer."""

    text: str
    """The whole text, including the start of a thought that the prompt opened."""
    complete: bool
    """False if the answer was truncated at the longest allowed length."""
    soft_scores: tuple[float, ...]
    """Probability-weighted mean of each score, 0..25, in order of appearance."""


More = Callable[[int], Sequence[Question]]
"""Callback: takes the number of unfinished answers, returns questions to add."""


def nothing(num_writing: int) -> Sequence[Question]:
    """No further questions."""
    return ()


class AnswerEngine(Protocol):
    """Interface of an engine: transformers in this process, vLLM on a GPU."""

    def prepare(self, form: AnswerForm) -> None:
        """Do one-time work before the first questions, such as compiling their forms."""
        ...

    def answer(
        self, questions: Sequence[Question], measure: Measure = ignore, more: More = nothing
    ) -> Iterator[tuple[int, Generated]]:
        """Yield each question's number and answer as it finishes.

        Computes common parts of questions as rarely as the engine can. It may call ``more`` for
        further questions during the work; their numbers continue.
        """
        ...


class GrowingAnswer:
    """Scans an answer during generation.

    It is complete at the brace that closes its first JSON object after any thinking; later text is
    ignored. A character of several tokens is scanned with the last of them.
    """

    def __init__(
        self, bytes_of: Mapping[int, bytes], *, thinking: bool = False, in_words: bool = False
    ) -> None:
        """Start before the first token.

        Args:
            bytes_of: bytes of each token; others, such as an end token, have none.
            thinking: the prompt ends within a thought.
            in_words: the answer is prose, so no closing brace ends it.
        """
        self._bytes_of = bytes_of
        self._decoder = _INCREMENTAL("replace")
        self._scanner = AnswerScanner(thinking=thinking, begins="" if in_words else "{")
        self._before = THOUGHT_BEGINS if thinking else ""

    @property
    def is_complete(self) -> bool:
        """Whether the answer's object is closed."""
        return self._scanner.is_complete

    @property
    def at_score(self) -> bool:
        """Whether a score's first digit, or white space before it, comes next."""
        return self._scanner.at_score

    @property
    def nears_score(self) -> bool:
        """Whether a score follows soon, but not next."""
        return self._scanner.nears_score

    @property
    def score_digits(self) -> str:
        """Characters so far of an unfinished score; empty if there is none."""
        return self._scanner.score_digits

    @property
    def text(self) -> str:
        """The text so far."""
        unfinished, _ = self._decoder.getstate()
        return self._before + self._scanner.text + unfinished.decode(errors="replace")

    def write(self, token: int) -> None:
        """Append a token."""
        self._scanner.read(self._decoder.decode(self._bytes_of.get(token, b"")))
