"""Settings of data building."""

from typing import Annotated, Literal, Self

from pydantic import Field, PositiveInt, model_validator

from spatialreward.records import Record
from spatialreward.world.sampling import GRADES, Grade

Share = Annotated[float, Field(ge=0, le=1)]
Split = Literal["train", "heldout"]


class DataConfig(Record):
    """Number and quality of the edits to generate."""

    seed: int = 1
    """Every sample depends only on the seed and its own number, so shards are independent."""
    picture_size: int = Field(64, ge=32, le=4096, multiple_of=4)
    """Side of the square pictures, in pixels."""
    num_train: PositiveInt = 28_800
    num_heldout: PositiveInt = 512
    num_shards: int = Field(2, ge=1, le=1024)
    """Shards of the training set, built independently and merged."""
    artifact_share: Share = 0.4
    """Share of edits with an artifact."""
    grades: dict[Grade, Share] = {  # noqa: RUF012 - pydantic copies it, and the record is frozen
        "right": 0.34,
        "partial": 0.16,
        "wrong object": 0.1,
        "wrong attribute": 0.16,
        "untouched": 0.06,
        "over-edited": 0.18,
    }
    """Share of each quality of edit; they sum to 1."""
    candidates: tuple[PositiveInt, ...] = (1,)
    """Edits of one source and instruction; tasks take these numbers in turn."""
    two_share: Share | None = None
    """Share of instructions with two operations; None: as frequent as any other kind."""
    small_share: Share | None = None
    """Share of small objects; None: half of them."""
    photos: str = ""
    """Folder of pictures to use as backgrounds; empty for plain backgrounds only."""

    @model_validator(mode="after")
    def _grades_sum_to_one(self) -> Self:
        total = sum(self.grades.values())
        if abs(total - 1) > 1e-6:
            raise ValueError(f"grades: expected shares that sum to 1, got {total:g}")
        missing = set(GRADES) - set(self.grades)
        if missing:
            raise ValueError(f"grades: {', '.join(sorted(missing))} not given")
        return self
