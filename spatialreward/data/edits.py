"""Edits during data building, with their metadata."""

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
    """Origin of a row, for finding it again."""

    file: str
    """File of the data set, relative to its root, or the hub's id and split."""
    row: str
    """Number or key of the row in it."""


class Extent(StrEnum):
    """How much of a picture an edit changed."""

    NOTHING = "nothing"
    """Only re-encoding noise."""
    LOCAL = "local"
    GLOBAL = "global"
    """Style, tone or background: most of the picture. Also a picture that cannot be aligned with
    its source, such as another frame of it."""


class ProposedRegion(Record):
    """A box with pixel evidence for a change."""

    bbox_2d: Box
    evidence: Share
    """Confidence of the pixels: 0 like noise, 1 certain."""
    changed_share: Share
    """Share of the box in the mask of changed pixels."""


class SpatialPrior(Record):
    """Differences of two pictures, from their pixels alone."""

    extent: Extent
    regions: tuple[ProposedRegion, ...]
    """Most evidence first. Global edits have one region, the whole picture; unchanged pictures have
    none."""
    changed_share: Share
    """Share of the picture's pixels in the mask of changed ones."""
    noise: float = Field(ge=0, allow_inf_nan=False)
    """Level of the re-encoding noise: median difference of unchanged pixels, in levels 0..255."""
    shift_px: tuple[float, float]
    """Shift of the edited picture's content, x and y, in its own pixels."""
    agreement: Share | None = None
    """IoU with the boxes of a second opinion; None without one."""


class LabelledEdit(Record):
    """One edit, with its pictures and metadata.

    Sources provide it without a prior and fingerprints, with unchecked pictures. A packed data set
    has both. Without a source picture it serves only the PQ stream, which looks at the edited
    picture alone.
    """

    id: str = Field(min_length=1)
    """Stable for a row, independent of how it is read."""
    instruction: str
    """Empty only without a source picture."""
    sources: tuple[bytes, ...]
    """Encoded picture files, empty if there is only an edited picture. Packed ones are upright RGB,
    within the data set's size limit."""
    edited: bytes | None
    """None in data sets of prompts, which serve RL only."""
    operation: str = ""
    """Kind of edit, in the data set's words; empty if unknown."""
    editor: str = ""
    """The editor, in the data set's words; empty if unknown."""
    prior: SpatialPrior | None = None
    """None before the pictures are compared, and without two pictures."""
    label: Judgement | None = None
    """The correct judgement; None before a teacher answers, unless it came with the source.
    ``judged_by`` is the teacher's model, or the source. Its reward is the paper's aggregation of
    its scores."""
    verified: bool | None = None
    """Whether a second pass agreed with the label; None without one."""
    lost_label: str = ""
    """Why the source's label was dropped, as ``reason: detail``; empty if it was not."""
    truth: str | None = None
    """How the source generated the edit, as JSON for the source alone; None if it did not."""
    given: dict[str, float | str] = Field(default_factory=dict)
    """Further metadata of the data set, such as scores."""
    given_regions: tuple[EditRegion, ...] | None = None
    """Boxes from the data set; None if it has none."""
    fingerprints: tuple[str, ...] = ()
    """Perceptual hashes of the sources and then of the edited picture, 16 hexadecimal digits; empty
    before the pictures are read."""
    license: str = ""
    """Of pictures and instruction, in the data set's words; empty if unknown."""
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
                raise ValueError(f"edit {self.id}: label: expected a judgement that did not fail")
            if self.edited is None:
                raise ValueError(f"edit {self.id}: labelled, but there is no edited picture")
            if not self.sources and self.label.scores.is_semantic:
                raise ValueError(f"edit {self.id}: has SC scores, but no source picture")
        return self

    def check_looked_at(self) -> None:
        """Check that the pictures were processed, as in a packed edit.

        Raises:
            InvalidInputError: the prior is missing, or there is not one fingerprint per picture.
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
    """One of a ranking's edited pictures."""

    id: str = Field(min_length=1)
    edited: bytes
    """Encoded picture file."""
    editor: str = ""
    """The editor, in the data set's words; empty if unknown."""


class Ranking(Record):
    """Several edits of one task in an order of preference, without a judge's answer."""

    id: str = Field(min_length=1)
    instruction: str
    sources: tuple[bytes, ...] = Field(min_length=1)
    edits: tuple[RankedPicture, ...] = Field(min_length=2)
    orders: dict[str, tuple[int, ...]] = Field(min_length=1)
    """For each dimension, the rank of each picture: 0 is best, equal ranks tie, without gaps."""
    operation: str = ""
    fingerprints: tuple[str, ...] = ()
    """Perceptual hashes of the sources and then of the edited pictures; empty before they are
    read."""
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
    """A dropped row, with the reason."""

    id: str
    reason: str
    """From a short list, for counting, such as ``unreadable picture``."""
    detail: str
    """Specifics that help to fix it."""
    kind: Literal["edit", "ranking"] = "edit"
    """Kind of record that the row would have given."""
    origin: RowOrigin


SourceRow = LabelledEdit | Ranking | Rejected
"""A source's result for a row."""
