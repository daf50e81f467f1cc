"""An answer as it is written, token by token: where its scores stand, and where it ends."""

import re
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple, Protocol

from spatialreward.judge.interface import Measure, ignore
from spatialreward.judge.questions import Question

_AT_A_SCORE = re.compile(r'"score": ?\[ ?(?:\d+, ?)?$')
_TAIL_CHARACTERS = 24


class Generated(NamedTuple):
    """One answer."""

    text: str
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

    It is complete at the brace that closes its first JSON object: what a model writes after that is
    nothing that anybody reads.
    """

    def __init__(self) -> None:
        """Nothing has been written."""
        self.text = ""
        self.complete = False
        self._depth = 0
        self._in_string = False
        self._escaped = False

    @property
    def at_score(self) -> bool:
        """Whether the next token is a score's first."""
        if self.complete or self.text[-1:] not in ("[", ",", " "):
            return False
        return bool(_AT_A_SCORE.search(self.text[-_TAIL_CHARACTERS:]))

    def write(self, piece: str) -> None:
        """Append one token's text."""
        self.text += piece
        for character in piece:
            if self._in_string:
                self._read_in_string(character)
            elif character == '"':
                self._in_string = self._depth > 0
            elif character == "{":
                self._depth += 1
            elif character == "}" and self._depth:
                self._depth -= 1
                self.complete = self.complete or self._depth == 0

    def _read_in_string(self, character: str) -> None:
        if self._escaped:
            self._escaped = False
        elif character == "\\":
            self._escaped = True
        elif character == '"':
            self._in_string = False
