"""The whole pipeline or one of its parts, and the references it needs."""

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
        """Whether it makes data."""
        return self in (Part.FULL, Part.DATA)

    @property
    def makes_judge(self) -> bool:
        """Whether it trains a judge."""
        return self in (Part.FULL, Part.JUDGE)

    @property
    def makes_editor(self) -> bool:
        """Whether it fine-tunes an editor."""
        return self in (Part.FULL, Part.EDITOR)


INPUTS = ("data", "heldout", "drawn", "editor")
"""References for pipelines, by parameter name."""


def inputs_of(profile: "Profile", part: Part) -> tuple[str, ...]:
    """The references that one pipeline needs."""
    match part:
        case Part.DATA:
            return ()
        case Part.JUDGE:
            return ("data", "heldout", "drawn") if profile.draws_edits else ("data", "heldout")
        case Part.EDITOR:
            return task_data_of(profile) if profile.published else ("editor",)
        case Part.FULL if profile.data.kind == "corpus":
            return ("heldout",) if profile.published else ("heldout", "editor")
        case Part.FULL:
            return ()


def task_data_of(profile: "Profile") -> tuple[str, ...]:
    """Inputs of the pipeline with the editor's tasks; empty if the settings name them.

    A pretrained editor gets tasks of the generated world, whose oracle knows the truth.
    """
    if not profile.published:
        return ()
    needs = {
        "data": not profile.rl.prompts,
        "heldout": not (profile.rl.watch.prompts and profile.editor_evaluation.prompts),
    }
    return tuple(name for name, is_needed in needs.items() if is_needed)


def run_name(name: str, part: Part) -> str:
    """Name of a pipeline's run in MLflow."""
    return f"pipeline {name}" if part is Part.FULL else f"pipeline {name} {part}"
