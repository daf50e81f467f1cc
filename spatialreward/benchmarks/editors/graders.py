"""Graders of edits: any judge with its own prompts here, rubrics in ``rubric_grader``.

Retries an unreadable answer with another seed, which samples a new one; a permanent failure is a
failed grade. Keeps the text of every attempt.
"""

import dataclasses
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Protocol

from spatialreward.benchmarks.editors.interface import Grade
from spatialreward.edits import Edit
from spatialreward.errors import Failure
from spatialreward.judges.interface import Judging, Metered, Tokens, quoted
from spatialreward.records import JudgeIdentity

UNREADABLE = frozenset(
    {
        Failure.NO_ANSWER,
        Failure.CUT_OFF,
        Failure.NOT_JSON,
        Failure.WRONG_FORM,
        Failure.WRONG_REGIONS,
        Failure.SCORE_OUT_OF_RANGE,
    }
)
"""Failures of an answer that a retry may fix."""


class Grader(Protocol):
    """Grades edits."""

    @property
    def identity(self) -> JudgeIdentity:
        """Who grades."""
        ...

    @property
    def notice(self) -> str:
        """A remark for readers of the grades."""
        ...

    def grade(self, edits: Sequence[Edit]) -> list[Grade]:
        """One grade an edit, in order."""
        ...


class AsksAgain(ABC):
    """Grades edits with retries."""

    def __init__(self, num_retries: int) -> None:
        """Set the number of retries for an unreadable answer."""
        self._num_retries = num_retries

    def grade(self, edits: Sequence[Edit]) -> list[Grade]:
        """One grade an edit, in order; raises as ``Judging.judge``."""
        grades = self._attempt(edits)
        for seed in range(1, self._num_retries + 1):
            again = [place for place, one in enumerate(grades) if one.failure in UNREADABLE]
            if not again:
                break
            drawn = [_drawn(edits[place], seed) for place in again]
            for place, new in zip(again, self._attempt(drawn), strict=True):
                answers = grades[place].answers + new.answers
                grades[place] = new.model_copy(update={"answers": answers})
        return grades

    @abstractmethod
    def _attempt(self, edits: Sequence[Edit]) -> list[Grade]:
        """Ask once."""


class JudgeGrader(AsksAgain):
    """A judge with its own prompts."""

    def __init__(self, judging: Judging, num_retries: int) -> None:
        """Use an open judge; does not close it.

        Args:
            judging: the grader.
            num_retries: for an unreadable answer.
        """
        super().__init__(num_retries)
        self._judging = judging

    @property
    def identity(self) -> JudgeIdentity:
        """The judge's identity."""
        return self._judging.identity

    @property
    def notice(self) -> str:
        """The judge's remark."""
        return self._judging.notice

    @property
    def tokens(self) -> Tokens:
        """See ``Metered``."""
        return self._judging.tokens if isinstance(self._judging, Metered) else Tokens(0, 0)

    def _attempt(self, edits: Sequence[Edit]) -> list[Grade]:
        return [
            Grade(
                judgement=judgement,
                answers=(tuple(texts for one in answers for texts in one.values()),),
            )
            for judgement, answers in quoted(self._judging, edits)
        ]


def _drawn(edit: Edit, seed: int) -> Edit:
    return dataclasses.replace(edit, options=edit.options.model_copy(update={"seed": seed}))
