"""What every judge can do, wherever it runs; free of torch, for clients and tests."""

from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol

from PIL import Image

from spatialreward.records import Judgement, JudgingOptions

Measure = Callable[[str, float], None]
"""Is told an amount of something by name, such as ``seconds/encode``; amounts add up."""


def ignore(name: str, amount: float) -> None:
    """Measure nothing."""


class EditToJudge(NamedTuple):
    """One edit: RGB pictures, which may differ in size, and what was asked for."""

    source: Image.Image
    edited: Image.Image
    instruction: str
    references: tuple[Image.Image, ...] = ()
    """Further source pictures, such as a thing that is to be put into the first."""
    options: JudgingOptions = JudgingOptions()


class Judging(Protocol):
    """A judge of edits: in this process, or behind a server."""

    @property
    def notice(self) -> str:
        """What a reader of the judgements must know about the model, such as its training data."""
        ...

    def judge(self, edits: Sequence[EditToJudge]) -> list[Judgement]:
        """One judgement an edit, in order; an edit without an answer gets a failed one."""
        ...
