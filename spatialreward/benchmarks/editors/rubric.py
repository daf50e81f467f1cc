"""ImgEdit-Bench's grader prompts from the user's copy of its code, and their answers.

The Basic suite's prompts are a JSON file, by edit type; UGE's is a string in its script, which is
parsed, not run. This library contains none of them.
"""

import hashlib
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from spatialreward.benchmarks.editors.imgedit import Suite
from spatialreward.errors import Failure, InvalidInputError, JudgementError
from spatialreward.protocol.formats import AnswerFormat, ScoreScale
from spatialreward.protocol.prompts import Protocol
from spatialreward.protocol.python_texts import PythonSource
from spatialreward.reading import parse_json, read_text
from spatialreward.records import AnswerForm

_MARK = "<edit_prompt>"
_REFERENCE_LETTERS = 12
_SCORE = re.compile(r"(?P<name>[^:]*\w[^:]*):[\s*_]*(?P<score>-?\d{1,3})(?:\s*/\s*5|\.0*)?[\s*_.]*")
_REASONING = re.compile(r"reasoning|explanation", re.IGNORECASE)
LOWEST, HIGHEST = 1, 5

ASKED = Protocol(
    name="imgedit",
    format=AnswerFormat.CRITIQUE,
    semantic="{instruction}{source}{edited}",
    perceptual="",
    answer=AnswerForm.REASONING,
    scale=ScoreScale(lowest=LOWEST, highest=HIGHEST),
    max_sources=1,
)
"""Layout of a case: the grader's prompt as the instruction, then both pictures."""


class Rubric(NamedTuple):
    """A suite's grader prompts."""

    name: str
    """Of the suite."""
    prompts: Mapping[str, str]
    """By edit type; a suite without types has a single empty one."""
    num_criteria: int
    """Number of scores in an answer."""

    @classmethod
    def read(cls, path: Path, suite: Suite) -> "Rubric":
        """Read a suite's prompts.

        Args:
            path: ``prompts.json`` of the Basic suite, or ``UGE_bench.py``.
            suite: the prompts' suite.

        Raises:
            InvalidInputError: they are missing, or lack an edit type.
        """
        prompts = _by_type(path) if suite.types else {"": PythonSource(path).text("prompt")}
        wanted = suite.types or ("",)
        for task_type in wanted:
            if task_type not in prompts:
                raise InvalidInputError(f"{path}: no grader prompt of edit type {task_type}")
            if _MARK not in prompts[task_type]:
                where = task_type or "prompt"
                raise InvalidInputError(
                    f"{path}: {where}: expected {_MARK} where the request stands"
                )
        prompts = {one: prompts[one] for one in wanted}
        return cls(suite.name, prompts, suite.num_criteria)

    @property
    def reference(self) -> str:
        """Name and digest, as for a protocol."""
        text = json.dumps(dict(sorted(self.prompts.items())), ensure_ascii=False)
        digest = hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()
        return f"{self.name}@{digest[:_REFERENCE_LETTERS]}"

    def prompt(self, task_type: str, request: str) -> str:
        """The prompt for a request."""
        return self.prompts[task_type].replace(_MARK, request)

    def read_answer(self, answer: str) -> tuple[int, ...]:
        """The scores of an answer in order, one a line after a name.

        Raises:
            JudgementError: their number is wrong, or one is not in 1..5.
        """
        lines = filter(None, map(_SCORE.fullmatch, answer.splitlines()))
        found = [int(one["score"]) for one in lines if not _REASONING.search(one["name"])]
        if not found:
            raise JudgementError("the answer has no line with a score", Failure.NO_ANSWER)
        if len(found) != self.num_criteria:
            raise JudgementError(f"expected {self.num_criteria} scores, got {len(found)}")
        for score in found:
            if not LOWEST <= score <= HIGHEST:
                reason = f"score: expected {LOWEST} to {HIGHEST}, got {score}"
                raise JudgementError(reason, Failure.SCORE_OUT_OF_RANGE)
        return tuple(found)


def _by_type(path: Path) -> Mapping[str, str]:
    try:
        found = parse_json(read_text(path))
    except InvalidInputError as error:
        raise InvalidInputError(f"{path}: {error}") from error
    if not isinstance(found, dict) or not all(isinstance(one, str) for one in found.values()):
        raise InvalidInputError(f"{path}: expected an object of edit types and grader prompts")
    return found
