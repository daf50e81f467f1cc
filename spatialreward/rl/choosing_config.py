"""Settings of drawing several edits and choosing one: best of N, and refinement round by round."""

import string

from pydantic import Field, PositiveFloat, PositiveInt, field_validator

from spatialreward.editors.config import DenoisingConfig, OpeningConfig
from spatialreward.records import Record

_FIELDS = frozenset(("instruction", "fault", "where"))


class BestOfConfig(Record):
    """Draw edits, judge them, choose the best."""

    num_edits: PositiveInt = 16
    num_at_once: PositiveInt = 8
    """Edits that are drawn and judged together; what is drawn follows from it."""
    seed: int = Field(0, ge=0)
    """Of the starting noise."""
    denoising: DenoisingConfig = DenoisingConfig()
    editor: OpeningConfig = OpeningConfig()
    num_sheet_rows: PositiveInt = 16
    """Edits on a sheet, best first."""


class RefineConfig(Record):
    """Draw an edit, judge it, and put what the judge found fault with into the instruction."""

    max_rounds: PositiveInt = 4
    """After the first edit."""
    edits_per_round: PositiveInt = 1
    """Edits drawn in each round, of which the best counts."""
    min_gain: PositiveFloat = 0.01
    """A round that raises the best reward by less is none that improves."""
    patience: PositiveInt = 1
    """Rounds in a row without improvement after which it stops."""
    template: str = (
        "{instruction}\nThe last attempt was not good enough. Mend this, {where}: {fault}"
    )
    """The instruction of a further round. ``{instruction}`` is the task's, ``{fault}`` what the
    judge wrote, its verdict first and then about each region, ``{where}`` those regions in words.
    Write it in the language of instructions and judge."""
    longest_fault: int = Field(400, ge=20, le=1500)
    """In characters."""
    seed: int = Field(0, ge=0)
    """Of the starting noise, which is another one in each round."""
    denoising: DenoisingConfig = DenoisingConfig()
    editor: OpeningConfig = OpeningConfig()

    @field_validator("template")
    @classmethod
    def _has_instruction_and_fault(cls, template: str) -> str:
        try:
            parts = list(string.Formatter().parse(template))
        except ValueError as error:
            raise ValueError(f"is no template: {error}") from error
        fields = {name for _, name, _, _ in parts if name is not None}
        if not {"instruction", "fault"} <= fields <= _FIELDS:
            raise ValueError(
                "expected {instruction} and {fault}, and {where} at most beside them, "
                f"got {', '.join(sorted(fields)) or 'none'}"
            )
        return template
