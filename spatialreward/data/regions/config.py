"""Settings of region proposal."""

from typing import Annotated, Self

from pydantic import Field, PositiveFloat, PositiveInt, model_validator

from spatialreward.records import Record

Share = Annotated[float, Field(gt=0.0, le=1.0, allow_inf_nan=False)]


class RegionConfig(Record):
    """How pictures are compared, and what counts as a change.

    Colour differences are distances in CIELAB, of which 2.3 are just noticeable. Lengths are
    shares of the longest side of the picture, so that they hold at any resolution.
    """

    working_side: int = Field(256, ge=32, le=4096)
    """Longest side in pixels at which pictures are compared; smaller ones stay as they are."""

    max_shift: Share = 0.1
    """Larger shifts of the picture's content are taken for changes, not for misalignment."""
    max_rescaling: Share = 0.1
    """The same for rescaling, as a share of the picture's size, each axis on its own."""
    min_agreeing: Share = 0.5
    """Share of the points followed from picture to picture that must agree with an alignment."""

    noise_floor: PositiveFloat = 1.15
    """Least noise that is assumed, in colour difference: half of what can just be noticed."""
    max_noise: PositiveFloat = 12.0
    """Most noise that is assumed, in colour difference; what is above must be a change."""
    max_edge_noise: Share = 0.5
    """Most noise an edge adds, as a share of its contrast: an edge moved by half its width."""

    weak_change: PositiveFloat = 1.75
    """Excess from which a pixel may belong to a change, in multiples of the median noise there. Of
    photographs that were softened, shifted, given a drift of colour and grain, and encoded as JPEG,
    one pixel in a hundred exceeds 1.1 to 2.1, the more the worse they were treated."""
    strong_change: PositiveFloat = 5.0
    """Excess that a change must reach in some of its pixels, in the same multiples: about twice of
    what one pixel in a thousand exceeds in those photographs, 1.6 to 2.6."""
    min_area: Share = 4e-4
    """Share of the picture that must be strongly changed for a region: a square of 1/50 side."""
    min_share_of_strongest: Share = 0.06
    """Regions with less than this share of the strongest region's mass are drift beside it."""

    joining_distance: Share = 0.03
    """Changed pixels that are as close as this are one change."""
    merging_distance: Share = 0.06
    """Boxes that are as close as this may become one."""
    max_waste: Share = 0.5
    """By how much of their own area two boxes may grow when they become one."""
    max_small_waste: Share = 0.01
    """Growth that never matters, as a share of the picture: corners of one small thing."""
    max_regions: PositiveInt = 8
    """Boxes that need the least growth are merged until there are no more than these."""

    global_tone: PositiveFloat = 12.0
    """Median colour difference of all pixels by one change of tone from which an edit is global:
    five times what can just be noticed. This sign and the next two add up in squares."""
    global_share: Share = 0.5
    """Share of changed pixels from which an edit is global."""
    global_intact: Share = 0.25
    """An edit is global if no more than this share of the source's structure is intact."""
    min_structure: Share = 0.25
    """Share of the picture that must have structure for that, or the next one, to say anything."""
    min_correspondence: Share = 0.5
    """How much of the structure of what seems unchanged must be the source's, on average, or the
    edit is global: half is what the strongest encoding leaves (``correspondence`` says why)."""

    @model_validator(mode="after")
    def _strong_is_more_than_weak(self) -> Self:
        if self.strong_change < self.weak_change:
            raise ValueError(
                f"strong_change: expected at least weak_change ({self.weak_change:g}), "
                f"got {self.strong_change:g}"
            )
        return self
