"""Settings of the watch on reward hacking."""

from typing import Annotated

from pydantic import Field, PositiveFloat, PositiveInt

from spatialreward.editors.config import DenoisingConfig
from spatialreward.records import Record


class WatchConfig(Record):
    """How to evaluate a policy during its training, and when to stop."""

    every_steps: PositiveInt = 20
    """Steps between two looks; the first look is at the initial editor."""
    prompts: str = ""
    """Packed data set, or JSON Lines file of tasks, whose first ones are the held-out prompts,
    outside the training. Empty: tasks of the generated world, if the training uses them, else no
    watch."""
    num_prompts: PositiveInt = 16
    group_size: int = Field(4, ge=2)
    """Edits of each prompt."""
    seed: int = Field(29, ge=0)
    """Of the initial noise, the same in every look."""
    denoising: DenoisingConfig | None = None
    """Sampling steps, always the ODE's; None: the training's number."""
    window: int = Field(4, ge=3)
    """Looks over which to compare rewards."""
    min_change: PositiveFloat = 0.02
    """Stop when, over the window, the training's own reward on the held-out prompts has risen by
    this and the held-out judge's has fallen by this, both along the least-squares line."""
    stops: bool = True
    """Whether to stop then; otherwise only warn."""
    over_edit_margin: float = Field(0.1, gt=0, le=1)
    """An edit is an over-edit if it changes more of the picture than each of the first look's edits
    of the same prompt, by this share of the picture; or all of it where none of them did."""
    grid_periods: tuple[Annotated[int, Field(ge=4, le=128)], ...] = Field((8, 16), min_length=1)
    """Periods, in pixels, of grids to detect: sides of the editor's patches."""
    num_sheet_rows: int = Field(8, ge=0)
    """Prompts on the sheet of each look."""
