"""What grades edits; this is any judge in its own words, ``rubric_grader`` is the other.

An answer that cannot be read is asked for again, each time with another seed, so that it is drawn;
one that never can be is a failed grade. What was written is kept, attempt by attempt.
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
"""Failures of an answer, after which another one may be better."""


class Grader(Protocol):
    """Grades edits."""

    @property
    def identity(self) -> JudgeIdentity:
        """Who grades."""
        ...

    @property
    def notice(self) -> str:
        """What a reader of the grades must know of it."""
        ...

    def grade(self, edits: Sequence[Edit]) -> list[Grade]:
        """One grade an edit, in order."""
        ...


class AsksAgain(ABC):
    """Grades edits in several attempts."""

    def __init__(self, num_retries: int) -> None:
        """Ask as often again for an answer that cannot be read."""
        self._num_retries = num_retries

    def grade(self, edits: Sequence[Edit]) -> list[Grade]:
        """One grade an edit, in order; see ``Judging.judge`` for what it raises."""
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
    """A judge, in its own words."""

    def __init__(self, judging: Judging, num_retries: int) -> None:
        """Take an open judge; it is not closed here.

        Args:
            judging: grades.
            num_retries: how often an answer that cannot be read is asked for again.
        """
        super().__init__(num_retries)
        self._judging = judging

    @property
    def identity(self) -> JudgeIdentity:
        """Of the judge."""
        return self._judging.identity

    @property
    def notice(self) -> str:
        """Of the judge."""
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
