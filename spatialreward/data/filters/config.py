"""Settings of the filters."""

from typing import Annotated

from pydantic import Field, PositiveInt

from spatialreward.data.edits import Share
from spatialreward.images import MAX_ASPECT_RATIO, MAX_INSTRUCTION_CHARACTERS, MAX_PIXELS
from spatialreward.records import MAX_SCORE, Record, Score

Bits = Annotated[int, Field(ge=0, le=16)]
"""Most differing bits, of 64, between perceptual hashes of two similar pictures; those of unrelated
pictures differ in about 32."""


class PictureLimits(Record):
    """Limits of usable pictures."""

    min_side: PositiveInt = 64
    """In pixels. Smaller pictures are useless for localisation."""
    max_pixels: int = Field(MAX_PIXELS, ge=1, le=MAX_PIXELS)
    """Larger pictures are not decoded."""
    max_aspect: float = Field(8.0, ge=1.0, le=MAX_ASPECT_RATIO)
    """Largest ratio of the longer side to the other."""


class EvidenceRules(Record):
    """Required agreement of boxes, from a data set or a teacher, with the changed pixels.

    Does not apply to global edits: their evidence is the whole picture.
    """

    min_backed_share: Share = 0.05
    """Smallest share of the boxes' area within proposed regions. Low, because boxes often surround
    a whole object of which a part changed."""
    min_covered_share: Share = 0.2
    """Smallest share of the proposed regions' area, weighted by evidence, within boxes. Low,
    because an editor may change more than requested."""


class ReasoningRules(Record):
    """Plausibility of a teacher's annotations."""

    high: Score = 20.0
    """A score from here up contradicts a negative verdict."""
    low: Score = 5.0
    """A score up to here contradicts a positive verdict."""
    success_of_nothing: Score = 10.0
    """Largest editing success if no pixel changed or no region is named."""
    min_words: int = Field(3, ge=1)
    """Drop reasonings with fewer words."""
    max_repeated_share: Share = 0.5
    """Largest share of a reasoning's four-word sequences that repeat earlier ones."""
    keep_unverified: bool = False
    """Whether to keep annotations that a second pass disagreed with."""
    max_same_reasoning: PositiveInt | None = 100
    """Most edits of a data set with an identical reasoning; None: no limit. "Nothing was changed"
    is fine a few times, but teaches nothing ten thousand times."""


class DuplicateRules(Record):
    """Definition of duplicate edits."""

    source_bits: Bits = 4
    """Largest distance of the sources' hashes."""
    edited_bits: Bits = 4
    """Largest distance of the edited pictures' hashes."""
    score_step: float = Field(5.0, gt=0, le=MAX_SCORE)
    """Edits whose editing success falls into different steps of this width are not duplicates:
    several edits of one source with different quality are the most useful for a judge."""


class BenchmarkRules(Record):
    """Definition of overlap with an evaluation benchmark."""

    picture_bits: Bits = 4
    """A picture this close to a benchmark's is an overlap with any instruction."""
    picture_bits_with_text: Bits = 10
    """A picture this close is one together with the benchmark's instruction."""
    min_words_alone: int = Field(12, ge=1)
    """An instruction with at least this number of words is an overlap without its picture. Shorter
    ones, such as "make it snow", are too common."""
    n_gram: int = Field(5, ge=2)
    """Length of the word sequences for comparing instructions."""
    min_contained_share: Share = 0.8
    """Share of a benchmark instruction's sequences in an instruction that contains it."""


class BalanceRules(Record):
    """Caps for edits of one kind: those of a cell, which is an operation and a score step.

    A cell of ``n`` edits above ``full_cell`` keeps ``full_cell * (n / full_cell) ** exponent``.
    """

    full_cell: PositiveInt = 2_000
    """Cells up to this size stay whole."""
    exponent: Share = 0.5
    """1 keeps all cells as they are, 0 cuts them down to ``full_cell``."""
    max_cell: PositiveInt | None = None
    """Absolute cap of a cell; None: none."""
    score_step: float = Field(5.0, gt=0, le=MAX_SCORE)
    """Width of a step of editing success."""
    max_per_source: PositiveInt | None = None
    """Most edits of one source picture, by file; None: no limit."""
    seed: int = 1
    """The remaining edits depend only on the seed and their ids."""


class FilterConfig(Record):
    """Filters between rows, annotations and training data."""

    pictures: PictureLimits = PictureLimits()
    max_instruction_characters: int = Field(
        MAX_INSTRUCTION_CHARACTERS, ge=1, le=MAX_INSTRUCTION_CHARACTERS
    )
    licenses: tuple[str, ...] | None = Field(None, min_length=1)
    """Allowed licences of rows, in the data set's words; None: any. Drops a row without a licence
    if its data set has none either."""
    evidence: EvidenceRules = EvidenceRules()
    reasoning: ReasoningRules = ReasoningRules()
    duplicates: DuplicateRules | None = DuplicateRules()
    """None keeps duplicates."""
    benchmarks: BenchmarkRules = BenchmarkRules()
    """No effect without a benchmark index."""
    balance: BalanceRules | None = BalanceRules()
    """None keeps all edits of every kind."""
