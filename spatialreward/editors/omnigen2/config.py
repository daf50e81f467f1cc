"""Settings of editing with OmniGen2."""

from typing import Literal

from pydantic import Field

from spatialreward.editors.pictures import SizeLimit
from spatialreward.records import Record


class OmniGen2Config(Record):
    """How OmniGen2 edits; the defaults are those that its published RL has at 512 x 512."""

    text_guidance: float = Field(4.0, ge=1)
    """How far the direction is led away from the one without the instruction; 1: not at all."""
    image_guidance: float = Field(2.0, ge=1)
    """How far from the one without the source pictures; counts beside ``text_guidance`` only."""
    guidance_in_one_pass: bool = False
    """Whether all predictions of a guided step are rows of one batch. That takes three times the
    memory, and pads the rows without pictures to the length of the others; it pays where a pass
    is dear in itself, such as with weights that are gathered for each."""
    shift_base_px: int = Field(168, ge=8)
    """Side of a square picture whose times are evenly spaced; those of larger ones crowd near the
    noise. The published inference has 320."""
    limit: SizeLimit = SizeLimit(max_pixels=512 * 512, max_side_px=2048)
    """Of the source pictures and of the edit."""
    output_size: tuple[int, int] | None = None
    """Width and height of edits in pixels; None: those of the first source picture, scaled."""
    max_text_tokens: int = Field(888, ge=1)
    """What an instruction with its template is cut to."""
    unguided_system: Literal["image", "plain"] = "plain"
    """System message beside the empty instruction: the one of all instructions, as in the published
    pipeline, or the plain one of the published RL."""
    source_seed: int = 0
    """Of the noise in the source pictures' latents, which depends on the picture, too."""


INFERENCE = OmniGen2Config(
    text_guidance=5.0,
    image_guidance=2.0,
    shift_base_px=320,
    limit=SizeLimit(max_pixels=1024 * 1024, max_side_px=1024),
    max_text_tokens=1024,
    unguided_system="image",
)
"""As the published inference script edits, whose further negative prompt is left out."""
