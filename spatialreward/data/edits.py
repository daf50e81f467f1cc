"""Edits on their way to training data, and what is known about them."""

from enum import StrEnum
from typing import Annotated, Literal, Self

from PIL import Image
from pydantic import Field, model_validator

from spatialreward.errors import InvalidInputError
from spatialreward.images import decode_image
from spatialreward.records import Coordinate, EditRegion, Judgement, JudgementStatus, Record

Share = Annotated[float, Field(ge=0.0, le=1.0, allow_inf_nan=False)]
Box = tuple[Coordinate, Coordinate, Coordinate, Coordinate]
"""``x1, y1, x2, y2``, normalised to 0..1000 of the edited picture's width and height."""


class RowOrigin(Record):
    """Where a row came from, so that it can be found again."""

    file: str
    """File of the data set, relative to its root, or the hub's id and split."""
    row: str
    """Number or key of the row in it."""


class Extent(StrEnum):
    """How much of a picture an edit changed."""

    NOTHING = "nothing"
    """Nothing beyond what encoding a picture anew does."""
    LOCAL = "local"
    GLOBAL = "global"
    """Style, tone or background: most of the picture. Also what could not be aligned with its
    source, such as another frame of it."""


class ProposedRegion(Record):
    """A box with pixel evidence for a change."""

    bbox_2d: Box
    evidence: Share
    """How sure the pixels are: 0 as good as noise, 1 beyond doubt."""
    changed_share: Share
    """Share of the box that is in the mask of changed pixels."""


class SpatialPrior(Record):
    """Where two pictures differ, from their pixels alone."""

    extent: Extent
    regions: tuple[ProposedRegion, ...]
    """Most evidence first. Global edits have one region, the whole picture; of unchanged pictures
    there is none."""
    changed_share: Share
    """Share of the picture's pixels in the mask of changed ones."""
    noise: float = Field(ge=0, allow_inf_nan=False)
    """Level of the re-encoding noise: median difference of unchanged pixels, in levels 0..255."""
    shift_px: tuple[float, float]
    """How far the edited picture's content was moved, x and y, in its own pixels."""
    agreement: Share | None = None
    """IoU with the boxes of a second opinion; None if none was asked."""


class LabelledEdit(Record):
    """One edit, with its pictures and what is known about it.

    A source gives it without a prior and fingerprints: the pictures may be anything. A packed data
    set has both. Without a source picture it serves the PQ stream alone, which looks at the edited
    picture only.
    """

    id: str = Field(min_length=1)
    """The same for the same row, whenever and wherever it is read."""
    instruction: str
    """Empty only if there is no source picture."""
    sources: tuple[bytes, ...]
    """Encoded picture files, empty if the edited picture stands alone. Packed ones are upright RGB,
    none of them larger than the data set's settings say."""
    edited: bytes | None
    """None in data sets of prompts, which serve RL only."""
    operation: str = ""
    """What kind of edit, in the data set's words; empty if it does not say."""
    editor: str = ""
    """Who drew the edited picture, in the data set's words; empty if it does not say."""
    prior: SpatialPrior | None = None
    """None until the pictures were compared, and if there are not two of them."""
    label: Judgement | None = None
    """What a judge should say; None until a teacher was asked, unless it came with the source.
    ``judged_by`` is the teacher's model, or the source. Its reward is the paper's aggregation of
    its scores."""
    verified: bool | None = None
    """Whether a second pass agreed with the label; None if there was none."""
    lost_label: str = ""
    """Why the label that came with the source was dropped, as ``reason: detail``; empty if none
    was."""
    truth: str | None = None
    """How the source made the edit, as JSON that the source alone reads; None if it did not."""
    given: dict[str, float | str] = Field(default_factory=dict)
    """What else the data set says about this edit, such as scores."""
    given_regions: tuple[EditRegion, ...] | None = None
    """Boxes that the data set gives; None if it gives none."""
    fingerprints: tuple[str, ...] = ()
    """Perceptual hashes of the sources and then of the edited picture, 16 hexadecimal digits; empty
    until the pictures were looked at."""
    license: str = ""
    """Of pictures and instruction, in the data set's words; empty if it names none."""
    origin: RowOrigin

    @model_validator(mode="after")
    def _is_consistent(self) -> Self:
        if self.edited is None and not self.sources:
            raise ValueError(f"edit {self.id}: expected a source or an edited picture, got neither")
        if self.prior is not None and (self.edited is None or not self.sources):
            raise ValueError(f"edit {self.id}: a prior needs a source and an edited picture")
        if self.label is None and self.verified is not None:
            raise ValueError(f"edit {self.id}: verified: there is no label that it could be about")
        if self.label is not None:
            if self.label.status is JudgementStatus.FAILED:
                raise ValueError(f"edit {self.id}: label: a failed judgement is none")
            if self.edited is None:
                raise ValueError(f"edit {self.id}: labelled, but there is no edited picture")
            if not self.sources and self.label.scores.is_semantic:
                raise ValueError(f"edit {self.id}: has SC scores, but no source picture")
        return self

    def check_looked_at(self) -> None:
        """Make sure that the pictures were looked at, as those of a packed edit were.

        Raises:
            InvalidInputError: the prior is missing, or the fingerprints are not one a picture.
        """
        if self.prior is None and self.edited is not None and self.sources:
            raise InvalidInputError(
                f"edit {self.id}: prior: is missing, though there are two pictures"
            )
        expected = len(self.sources) + (self.edited is not None)
        if len(self.fingerprints) != expected:
            raise InvalidInputError(
                f"edit {self.id}: fingerprints: expected {expected}, one a picture, "
                f"got {len(self.fingerprints)}"
            )

    def source_images(self) -> tuple[Image.Image, ...]:
        """The decoded sources, RGB.

        Raises:
            InvalidInputError: a picture cannot be decoded; names the edit.
        """
        return tuple(decode_image(source, f"{self.id}/source") for source in self.sources)

    def edited_image(self) -> Image.Image:
        """The decoded edited picture, RGB.

        Raises:
            InvalidInputError: there is none, or it cannot be decoded; names the edit.
        """
        if self.edited is None:
            raise InvalidInputError(f"edit {self.id}: edited: there is no edited picture")
        return decode_image(self.edited, f"{self.id}/edited")


class RankedPicture(Record):
    """One of the edited pictures that a ranking puts in order."""

    id: str = Field(min_length=1)
    edited: bytes
    """Encoded picture file."""
    editor: str = ""
    """Who drew it, in the data set's words; empty if it does not say."""


class Ranking(Record):
    """Several edits of one task in an order of preference; what says so gives no judge's answer."""

    id: str = Field(min_length=1)
    instruction: str
    sources: tuple[bytes, ...] = Field(min_length=1)
    edits: tuple[RankedPicture, ...] = Field(min_length=2)
    orders: dict[str, tuple[int, ...]] = Field(min_length=1)
    """By dimension, the rank of each picture: 0 is best, equal ranks tie, and none is skipped."""
    operation: str = ""
    fingerprints: tuple[str, ...] = ()
    """Perceptual hashes of the sources and then of the edited pictures; empty until they were
    looked at."""
    license: str = ""
    origin: RowOrigin

    @model_validator(mode="after")
    def _is_consistent(self) -> Self:
        ids = [picture.id for picture in self.edits]
        if len(set(ids)) != len(ids):
            raise ValueError(f"ranking {self.id}: ids of edited pictures are not unique: {ids}")
        for dimension, ranks in self.orders.items():
            if len(ranks) != len(ids):
                raise ValueError(
                    f"ranking {self.id}: {dimension}: expected {len(ids)} ranks, got {len(ranks)}"
                )
            if sorted(set(ranks)) != list(range(len(set(ranks)))):
                raise ValueError(
                    f"ranking {self.id}: {dimension}: expected ranks from 0 on without a gap, got "
                    f"{list(ranks)}"
                )
        return self


class Rejected(Record):
    """A row that is left out, and why."""

    id: str
    reason: str
    """One of a few, to be counted, such as ``unreadable picture``."""
    detail: str
    """What exactly, in words that help to mend it."""
    kind: Literal["edit", "ranking"] = "edit"
    """What the row would have given."""
    origin: RowOrigin


SourceRow = LabelledEdit | Ranking | Rejected
"""What a source gives for a row."""
