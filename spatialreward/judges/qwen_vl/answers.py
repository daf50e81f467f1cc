"""An answer as it is written, token by token, and what an engine does with questions."""

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
    """With a thought before it from its beginning, also where the prompt began the thought."""
    complete: bool
    """False when the answer was cut off at the longest allowed length."""
    soft_scores: tuple[float, ...]
    """Probability-weighted mean of each score, 0..25, in the order they were written."""


More = Callable[[int], Sequence[Question]]
"""Is told how many answers are being written, and gives the questions that join them."""


def nothing(num_writing: int) -> Sequence[Question]:
    """No further questions."""
    return ()


class AnswerEngine(Protocol):
    """Whatever lets a model answer: transformers in this process, vLLM on a GPU."""

    def prepare(self, form: AnswerForm) -> None:
        """Do once what the first questions would else wait for, such as compiling their forms."""
        ...

    def answer(
        self, questions: Sequence[Question], measure: Measure = ignore, more: More = nothing
    ) -> Iterator[tuple[int, Generated]]:
        """Each question's number and its answer, as answers are finished.

        What questions share is computed as rarely as the engine can. It may ask for ``more``
        questions while it works; they are numbered on.
        """
        ...


class GrowingAnswer:
    """Reads an answer while it is written.

    It is complete at the brace that closes its first JSON object behind any thinking: what a model
    writes after that is nothing that anybody reads. A character that several tokens make up is read
    when the last of them is written.
    """

    def __init__(
        self, bytes_of: Mapping[int, bytes], *, thinking: bool = False, in_words: bool = False
    ) -> None:
        """Nothing has been written.

        Args:
            bytes_of: what each token spells; the others, such as a text's end, spell nothing.
            thinking: the prompt ends within a thought.
            in_words: no object ends the answer.
        """
        self._bytes_of = bytes_of
        self._decoder = _INCREMENTAL("replace")
        self._scanner = AnswerScanner(thinking=thinking, begins="" if in_words else "{")
        self._before = THOUGHT_BEGINS if thinking else ""

    @property
    def is_complete(self) -> bool:
        """Whether the answer's object has been closed."""
        return self._scanner.is_complete

    @property
    def at_score(self) -> bool:
        """Whether a score's first digit is due, or white space before it."""
        return self._scanner.at_score

    @property
    def nears_score(self) -> bool:
        """Whether a score is to come that is not due yet."""
        return self._scanner.nears_score

    @property
    def score_digits(self) -> str:
        """What is written of a score that may go on; empty where none is being written."""
        return self._scanner.score_digits

    @property
    def text(self) -> str:
        """All that has been written."""
        unfinished, _ = self._decoder.getstate()
        return self._before + self._scanner.text + unfinished.decode(errors="replace")

    def write(self, token: int) -> None:
        """Append a token."""
        self._scanner.read(self._decoder.decode(self._bytes_of.get(token, b"")))
