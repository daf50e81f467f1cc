"""Follows an answer character by character: thinking, its JSON object, and positions of scores.

Engines scan an answer while it is generated and the parser scans the whole text, so both find the
same object. It accepts any JSON white space, and does not check whether the object is a
judgement.
"""

from typing import Literal

THOUGHT_BEGINS = "<think>"
THOUGHT_ENDS = "</think>"
NUM_SCORES = 2
_MOST_DIGITS = 32
"""Most characters kept of a score; a longer one is invalid."""
_WHITE_SPACE = " \t\n\r"
_OPENS = "{["
_CLOSES = "}]"

Expected = Literal["key", "colon", "value", "comma"]


class AnswerScanner:
    """Finds the first JSON object after any thinking, and the positions of its scores.

    Text between ``<think>`` and ``</think>`` is skipped, including its braces.
    """

    def __init__(self, *, thinking: bool = False, begins: str = "{") -> None:
        """Start before the first character.

        Args:
            thinking: the prompt ends within a thought.
            begins: the allowed opening brackets: ``{[`` where the answer may be a list, empty for
                prose.
        """
        self.text = ""
        self.begin: int | None = None
        """Index of the answer's opening bracket; None until reached."""
        self.end: int | None = None
        """Index after the answer's closing bracket; None until reached."""
        self.thinking = thinking
        """Whether a thought is open."""
        self.is_doubled = False
        """Whether the object has a second pair of braces."""
        self._begins = begins
        self._open: list[str] = []
        self._expected: Expected = "key"
        self._key = ""
        self._string: int | None = None
        self._escaped = False
        self._num_scores: int | None = None
        self._digits = ""

    @property
    def is_complete(self) -> bool:
        """Whether the object is closed; later text is ignored."""
        return self.end is not None

    @property
    def at_score(self) -> bool:
        """Whether a score's first digit, or white space before it, comes next."""
        return (
            self._in_scores
            and self._expected == "value"
            and not self._digits
            and (self._num_scores or 0) < NUM_SCORES
        )

    @property
    def nears_score(self) -> bool:
        """Whether a score follows soon: before its list, or before its comma."""
        if self._in_scores:
            before_comma = self._expected == "comma" and not self._digits
            return before_comma and (self._num_scores or 0) + 1 < NUM_SCORES
        before_list = self._open == ["{"] and self._key == "score" and self._string is None
        return before_list and self._expected in ("colon", "value")

    @property
    def score_digits(self) -> str:
        """Characters so far of an unfinished score; empty if there is none."""
        return self._digits

    @property
    def _in_scores(self) -> bool:
        return self._num_scores is not None and self._open == ["{", "["] and self._string is None

    def read(self, piece: str) -> None:
        """Scan more text; text after the object is appended but not scanned."""
        start = len(self.text)
        self.text += piece
        for index, character in enumerate(piece, start):
            if self.end is not None:
                return
            if self._string is not None:
                self._read_in_string(index, character)
            elif self._open:
                self._read_in_object(index, character)
            else:
                self._read_outside(index, character)

    def _read_outside(self, index: int, character: str) -> None:
        if character == ">":
            if self.text.endswith(THOUGHT_ENDS, 0, index + 1):
                self.thinking = False
            elif self.text.endswith(THOUGHT_BEGINS, 0, index + 1):
                self.thinking = True
        elif character in self._begins and not self.thinking:
            self.begin = index
            self._open = [character]
            self._expected = "key" if character == "{" else "value"

    def _read_in_string(self, index: int, character: str) -> None:
        if self._escaped:
            self._escaped = False
        elif character == "\\":
            self._escaped = True
        elif character == '"':
            if self._expected == "key":
                self._key = self.text[self._string : index]
                self._expected = "colon"
            else:
                self._expected = "comma"
            self._string = None

    def _read_in_object(self, index: int, character: str) -> None:
        if character == '"':
            self._string = index + 1
        elif character in _OPENS:
            self._go_in(index, character)
        elif character in _CLOSES:
            self._go_out(index)
        elif character == ":":
            self._expected = "value"
        elif character == ",":
            self._next_item()
        elif self._in_scores:
            self._read_in_scores(character)

    def _read_in_scores(self, character: str) -> None:
        if character not in _WHITE_SPACE:
            if len(self._digits) < _MOST_DIGITS:
                self._digits += character
        elif self._digits:
            self._digits, self._expected = "", "comma"

    def _go_in(self, index: int, character: str) -> None:
        if character == "{" and self._open == ["{"] and self._expected == "key" and not self._key:
            self.begin, self.is_doubled = index, True
            return
        if self._open == ["{"] and self._key == "score" and character == "[":
            self._num_scores = 0
        self._open.append(character)
        self._expected = "key" if character == "{" else "value"

    def _go_out(self, index: int) -> None:
        if self._open == ["{", "["]:
            self._num_scores = None
        self._open.pop()
        self._digits, self._expected = "", "comma"
        if not self._open:
            self.end = index + 1

    def _next_item(self) -> None:
        if self._in_scores and self._num_scores is not None:
            self._num_scores += 1
        self._digits = ""
        self._expected = "key" if self._open[-1] == "{" else "value"
