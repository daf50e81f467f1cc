"""Settings of the watch on reward hacking."""

from typing import Annotated

from pydantic import Field, PositiveFloat, PositiveInt

from spatialreward.editors.config import DenoisingConfig
from spatialreward.records import Record


class WatchConfig(Record):
    """How a policy is looked at beside its training, and when that is stopped."""

    every_steps: PositiveInt = 20
    """Steps between two looks; the first look is at the editor that the training starts from."""
    prompts: str = ""
    """Packed data set, or JSON Lines file of tasks, whose first ones are the held-out prompts; none
    that the training reads. Empty: tasks of the generated world, if the training's are such, else
    there is no watch."""
    num_prompts: PositiveInt = 16
    group_size: int = Field(4, ge=2)
    """Edits of each prompt."""
    seed: int = Field(29, ge=0)
    """Of the starting noise, the same in every look."""
    denoising: DenoisingConfig | None = None
    """How they are drawn, always without noise in the steps; None: in the training's steps."""
    window: int = Field(4, ge=3)
    """Looks over which rewards are compared."""
    min_change: PositiveFloat = 0.02
    """The training stops when, over the window, the training's own reward on the held-out prompts
    has risen by this and the held-out judge's has fallen by this, both along the line that fits
    the looks best."""
    stops: bool = True
    """Whether it stops then; if not, it only warns."""
    over_edit_margin: float = Field(0.1, gt=0, le=1)
    """An edit is an over-edit where it changes more of the picture than each of the first look's
    edits of the same prompt, by this share of the picture; or all of it where none of them did."""
    grid_periods: tuple[Annotated[int, Field(ge=4, le=128)], ...] = Field((8, 16), min_length=1)
    """Periods, in pixels, of grids that are looked for: sides of the editor's patches."""
    num_sheet_rows: int = Field(8, ge=0)
    """Prompts on the sheet of each look."""
