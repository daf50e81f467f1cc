"""Settings of the filters."""

from typing import Annotated

from pydantic import Field, PositiveInt

from spatialreward.data.edits import Share
from spatialreward.images import MAX_ASPECT_RATIO, MAX_INSTRUCTION_CHARACTERS, MAX_PIXELS
from spatialreward.records import MAX_SCORE, Record, Score

Bits = Annotated[int, Field(ge=0, le=16)]
"""In how many of a perceptual hash's 64 bits two pictures may differ; those of unlike pictures
differ in about 32."""


class PictureLimits(Record):
    """Which pictures can be used at all."""

    min_side: PositiveInt = 64
    """In pixels. Below, there is nothing to point at."""
    max_pixels: int = Field(MAX_PIXELS, ge=1, le=MAX_PIXELS)
    """Pictures with more are not decoded."""
    max_aspect: float = Field(8.0, ge=1.0, le=MAX_ASPECT_RATIO)
    """How many times longer than the other one side may be."""


class EvidenceRules(Record):
    """How far boxes, of a data set or of a teacher, have to agree with the changed pixels.

    Global edits are not held to it: their evidence is the whole picture, wherever the boxes are.
    """

    min_backed_share: Share = 0.05
    """Share of the boxes' area that lies in proposed regions, at least. Low, since boxes are often
    drawn around a whole object of which a part was changed."""
    min_covered_share: Share = 0.2
    """Share of the proposed regions' area, weighted by their evidence, that lies in boxes, at
    least. Low, since an editor may change more than it was asked to."""


class ReasoningRules(Record):
    """Which annotations of a teacher are believed."""

    high: Score = 20.0
    """A score from here on cannot stand beside a verdict that says the opposite."""
    low: Score = 5.0
    """Nor can a score down to here."""
    success_of_nothing: Score = 10.0
    """Editing success, at most, where no pixel changed or no region is named."""
    min_words: int = Field(3, ge=1)
    """A reasoning with fewer words says nothing."""
    max_repeated_share: Share = 0.5
    """Share of a reasoning's runs of four words that occurred before in it, at most."""
    keep_unverified: bool = False
    """Whether annotations stay that a second pass disagreed with."""
    max_same_reasoning: PositiveInt | None = 100
    """How many edits of a data set may have word for word the same reasoning; None: any number.
    "Nothing was changed" is fine a few times and no teaching ten thousand times."""


class DuplicateRules(Record):
    """Which edits say the same as one before them."""

    source_bits: Bits = 4
    """Distance of the sources' hashes, at most."""
    edited_bits: Bits = 4
    """Distance of the edited pictures' hashes, at most."""
    score_step: float = Field(5.0, gt=0, le=MAX_SCORE)
    """Edits whose editing success falls into different steps of this width are not duplicates:
    several edits of one source, of unlike quality, are what a judge learns most from."""


class BenchmarkRules(Record):
    """What counts as overlap with an evaluation benchmark."""

    picture_bits: Bits = 4
    """A picture this near to one of a benchmark is that picture, whatever the instruction."""
    picture_bits_with_text: Bits = 10
    """One this near is, if the instruction is the benchmark's too."""
    min_words_alone: int = Field(12, ge=1)
    """An instruction of so many words is rejected without its picture. Shorter ones, such as "make
    it snow", are everybody's."""
    n_gram: int = Field(5, ge=2)
    """Instructions are compared by their runs of so many words."""
    min_contained_share: Share = 0.8
    """Share of a benchmark instruction's runs that are in an instruction that holds it."""


class BalanceRules(Record):
    """How many edits of one kind stay: those of a cell, which is an operation and a score step.

    A cell of ``n`` edits above ``full_cell`` keeps ``full_cell * (n / full_cell) ** exponent``.
    """

    full_cell: PositiveInt = 2_000
    """Cells up to this size stay whole."""
    exponent: Share = 0.5
    """1 leaves all cells as they are, 0 cuts them down to ``full_cell``."""
    max_cell: PositiveInt | None = None
    """No cell keeps more than this; None: no such cap."""
    score_step: float = Field(5.0, gt=0, le=MAX_SCORE)
    """Width of a step of editing success."""
    max_per_source: PositiveInt | None = None
    """How many edits of one source picture, same file, stay; None: any number."""
    seed: int = 1
    """Which edits stay follows from the seed and their ids alone."""


class FilterConfig(Record):
    """Which rows and annotations become training data."""

    pictures: PictureLimits = PictureLimits()
    max_instruction_characters: int = Field(
        MAX_INSTRUCTION_CHARACTERS, ge=1, le=MAX_INSTRUCTION_CHARACTERS
    )
    licenses: tuple[str, ...] | None = Field(None, min_length=1)
    """Licences that rows may have, worded as in the data set; None: any. A row that names none, of
    a data set that names none, is left out."""
    evidence: EvidenceRules = EvidenceRules()
    reasoning: ReasoningRules = ReasoningRules()
    duplicates: DuplicateRules | None = DuplicateRules()
    """None keeps duplicates."""
    benchmarks: BenchmarkRules = BenchmarkRules()
    """Of no effect where no benchmark index is given."""
    balance: BalanceRules | None = BalanceRules()
    """None keeps all edits of every kind."""
