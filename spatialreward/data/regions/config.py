"""Settings of region proposal."""

from typing import Annotated, Self

from pydantic import Field, PositiveFloat, PositiveInt, model_validator

from spatialreward.records import Record

Share = Annotated[float, Field(gt=0.0, le=1.0, allow_inf_nan=False)]


class RegionConfig(Record):
    """Parameters of the comparison, and thresholds of changes.

    Colour differences are distances in CIELAB, of which 2.3 are just noticeable. Lengths are
    shares of the longest side of the picture, independent of resolution.
    """

    working_side: int = Field(256, ge=32, le=4096)
    """Longest side in pixels for the comparison; smaller pictures keep their size."""

    max_shift: Share = 0.1
    """Larger shifts of the picture's content count as changes, not as misalignment."""
    max_rescaling: Share = 0.1
    """The same for rescaling, as a share of the picture's size, per axis."""
    min_agreeing: Share = 0.5
    """Share of the tracked points that must agree with an alignment."""

    noise_floor: PositiveFloat = 1.15
    """Lower bound of the noise, in colour difference: half of what is just noticeable."""
    max_noise: PositiveFloat = 12.0
    """Upper bound of the noise, in colour difference; more must be a change."""
    max_edge_noise: Share = 0.5
    """Upper bound of an edge's noise, as a share of its contrast: an edge moved by half its
    width."""

    weak_change: PositiveFloat = 1.75
    """Lowest excess of a changed pixel, in multiples of the median noise there. In photographs that
    were softened, shifted, given a drift of colour and grain, and encoded as JPEG, one pixel in a
    hundred exceeds 1.1 to 2.1, increasing with the degradation."""
    strong_change: PositiveFloat = 5.0
    """Excess that a change must reach in some of its pixels, in the same multiples: about twice
    what one pixel in a thousand exceeds in those photographs, 1.6 to 2.6."""
    min_area: Share = 4e-4
    """Share of the picture that must be strongly changed for a region: a square of 1/50 side."""
    min_share_of_strongest: Share = 0.06
    """Regions with less than this share of the strongest region's mass are drift."""

    joining_distance: Share = 0.03
    """Changed pixels at most this far apart form one change."""
    merging_distance: Share = 0.06
    """Boxes at most this far apart may merge."""
    max_waste: Share = 0.5
    """Largest growth of two merged boxes, relative to their own area."""
    max_small_waste: Share = 0.01
    """Growth that is always allowed, as a share of the picture: corners of one small thing."""
    max_regions: PositiveInt = 8
    """Merge the boxes with the least growth until at most this number remains."""

    global_tone: PositiveFloat = 12.0
    """Median colour difference of all pixels under one change of tone that makes an edit global:
    five times what is just noticeable. The squares of this sign and the next two add up."""
    global_share: Share = 0.5
    """Share of changed pixels that makes an edit global."""
    global_intact: Share = 0.25
    """An edit is global if at most this share of the source's structure is intact."""
    min_structure: Share = 0.25
    """Share of the picture with structure that the previous and the next sign require."""
    min_correspondence: Share = 0.5
    """Smallest mean share of the source's structure in apparently unchanged places; below it an
    edit is
    global: half is what the strongest encoding preserves (``correspondence`` explains why)."""

    @model_validator(mode="after")
    def _strong_is_more_than_weak(self) -> Self:
        if self.strong_change < self.weak_change:
            raise ValueError(
                f"strong_change: expected at least weak_change ({self.weak_change:g}), "
                f"got {self.strong_change:g}"
            )
        return self
