"""Settings of best of N, and of refinement in rounds."""

import string

from pydantic import Field, PositiveFloat, PositiveInt, field_validator

from spatialreward.editors.config import DenoisingConfig, OpeningConfig
from spatialreward.records import Record

_FIELDS = frozenset(("instruction", "fault", "where"))


class BestOfConfig(Record):
    """Draw edits, judge them, choose the best."""

    num_edits: PositiveInt = 16
    num_at_once: PositiveInt = 8
    """Edits drawn and judged together; affects the drawn edits."""
    seed: int = Field(0, ge=0)
    """Of the initial noise."""
    denoising: DenoisingConfig = DenoisingConfig()
    editor: OpeningConfig = OpeningConfig()
    num_sheet_rows: PositiveInt = 16
    """Edits on a sheet, best first."""


class RefineConfig(Record):
    """Draw an edit, judge it, and add the judge's criticism to the instruction."""

    max_rounds: PositiveInt = 4
    """Beyond the first edit."""
    edits_per_round: PositiveInt = 1
    """Edits drawn in each round, of which the best counts."""
    min_gain: PositiveFloat = 0.01
    """Smallest increase of the best reward that counts as an improvement."""
    patience: PositiveInt = 1
    """Stop after this number of consecutive rounds without improvement."""
    template: str = (
        "{instruction}\nThe last attempt was not good enough. Mend this, {where}: {fault}"
    )
    """The instruction of further rounds. ``{instruction}`` is the task's, ``{fault}`` the judge's
    criticism, its verdict first and then each region's, ``{where}`` those regions in words. Write
    it in the language of instructions and judge."""
    longest_fault: int = Field(400, ge=20, le=1500)
    """In characters."""
    seed: int = Field(0, ge=0)
    """Of the initial noise, which differs in each round."""
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
