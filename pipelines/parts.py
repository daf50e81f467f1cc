"""Which pipeline is meant, the whole or one of its parts, and which references it takes."""

from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pipelines.settings import Profile


class Part(StrEnum):
    """A pipeline."""

    FULL = "full"
    DATA = "data"
    JUDGE = "judge"
    EDITOR = "editor"

    @property
    def makes_data(self) -> bool:
        """Whether it has the steps that make data."""
        return self in (Part.FULL, Part.DATA)

    @property
    def makes_judge(self) -> bool:
        """Whether it has the steps that train a judge."""
        return self in (Part.FULL, Part.JUDGE)

    @property
    def makes_editor(self) -> bool:
        """Whether it has the steps that fine-tune an editor."""
        return self in (Part.FULL, Part.EDITOR)


INPUTS = ("data", "heldout", "drawn", "editor")
"""References that pipelines take, by the names of their parameters."""


def inputs_of(profile: "Profile", part: Part) -> tuple[str, ...]:
    """Those that one pipeline needs."""
    match part:
        case Part.DATA:
            return ()
        case Part.JUDGE:
            return ("data", "heldout", "drawn") if profile.draws_edits else ("data", "heldout")
        case Part.EDITOR:
            return ("editor",)
        case Part.FULL:
            return ("heldout", "editor") if profile.data.kind == "corpus" else ()


def run_name(name: str, part: Part) -> str:
    """What a pipeline's run in MLflow is called."""
    return f"pipeline {name}" if part is Part.FULL else f"pipeline {name} {part}"
