"""Settings of editing with OmniGen2."""

from typing import Literal

from pydantic import Field

from spatialreward.editors.pictures import SizeLimit
from spatialreward.records import Record


class OmniGen2Config(Record):
    """Settings of OmniGen2; the defaults are those of its published RL at 512 x 512."""

    text_guidance: float = Field(4.0, ge=1)
    """Guidance scale against the prediction without the instruction; 1: off."""
    image_guidance: float = Field(2.0, ge=1)
    """Guidance scale against the prediction without source pictures; needs ``text_guidance``."""
    guidance_in_one_pass: bool = False
    """Whether all predictions of a guided step form one batch. That takes three times the memory,
    and pads the rows without pictures to the length of the others; it pays where each pass has a
    fixed cost, such as gathering sharded weights."""
    shift_base_px: int = Field(168, ge=8)
    """Side of a square picture whose times are evenly spaced; larger ones move times near the
    noise. The published inference uses 320."""
    limit: SizeLimit = SizeLimit(max_pixels=512 * 512, max_side_px=2048)
    """Limit of the source pictures and of the edit."""
    output_size: tuple[int, int] | None = None
    """Width and height of edits in pixels; None: those of the first source picture, scaled."""
    max_text_tokens: int = Field(888, ge=1)
    """Truncation length of an instruction with its template."""
    unguided_system: Literal["image", "plain"] = "plain"
    """System message of the empty instruction: the common one, as in the published pipeline, or the
    plain one of the published RL."""
    source_seed: int = 0
    """Seed of the noise in the source pictures' latents, which also depends on the picture."""


INFERENCE = OmniGen2Config(
    text_guidance=5.0,
    image_guidance=2.0,
    shift_base_px=320,
    limit=SizeLimit(max_pixels=1024 * 1024, max_side_px=1024),
    max_text_tokens=1024,
    unguided_system="image",
)
"""Settings of the published inference script, without its additional negative prompt."""
