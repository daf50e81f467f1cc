"""Records that the parts of the system exchange: frozen, closed, free of torch."""

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from spatialreward.errors import Failure

MAX_SCORE = 25.0
BOX_SCALE = 1000


def whole_characters(text: str) -> str:
    """Make a text valid UTF-8: replace each half of a surrogate pair.

    JSON can spell such a half, and a model writes one where it splits an emoji.
    """
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


Text = Annotated[str, AfterValidator(whole_characters)]
Score = Annotated[float, Field(ge=0.0, le=MAX_SCORE, allow_inf_nan=False)]


def _no_truth_value(value: Any) -> Any:
    """Refuse JSON's ``true`` as a number, although Python reads it as 1."""
    if isinstance(value, bool):
        raise ValueError(f"expected a whole number, got {value}")
    return value


Whole = Annotated[int, BeforeValidator(_no_truth_value)]
Coordinate = Annotated[Whole, Field(ge=0, le=BOX_SCALE)]


class Record(BaseModel):
    """Base of all records: immutable; unknown fields are errors."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


class EditRegion(Record):
    """One box in which the edited picture differs from its source."""

    id: Whole = Field(ge=0, lt=2**63)
    """Number that ``<|bbox_id|>`` in the reasoning refers to."""
    label: Text
    """What the region holds, in a few words."""
    bbox_2d: tuple[Coordinate, Coordinate, Coordinate, Coordinate]
    """``x1, y1, x2, y2``, normalised to 0..1000 of the edited picture's width and height."""

    @model_validator(mode="after")
    def _has_area(self) -> Self:
        x1, y1, x2, y2 = self.bbox_2d
        if x2 <= x1 or y2 <= y1:
            raise ValueError(f"region {self.id}: expected x1 < x2 and y1 < y2, got {self.bbox_2d}")
        return self


class Scores(Record):
    """The scores of a judgement, each 0..25 with 25 best; None in a stream not requested."""

    editing_success: Score | None = None
    """Was the instruction carried out?"""
    over_editing: Score | None = None
    """Is everything else unchanged? 25: no change beyond the instruction."""
    naturalness: Score | None = None
    """Does the edited picture look natural?"""
    artifact_freedom: Score | None = None
    """25: no visible artifacts."""

    @model_validator(mode="after")
    def _streams_are_whole(self) -> Self:
        semantic = (self.editing_success, self.over_editing)
        perceptual = (self.naturalness, self.artifact_freedom)
        if any(pair.count(None) == 1 for pair in (semantic, perceptual)):
            raise ValueError("a stream has two scores or none")
        if semantic[0] is None and perceptual[0] is None:
            raise ValueError("expected the scores of one stream at least")
        return self

    @property
    def is_semantic(self) -> bool:
        """Whether the SC stream was requested."""
        return self.editing_success is not None

    @property
    def is_perceptual(self) -> bool:
        """Whether the PQ stream was requested."""
        return self.naturalness is not None

    def given(self) -> dict[str, float]:
        """The scores that are present, by field name."""
        return {field: score for field, score in self if score is not None}


class Streams(StrEnum):
    """The streams that an edit is judged in."""

    BOTH = "both"
    SEMANTIC = "sc"
    PERCEPTUAL = "pq"


SCORES_OF: Mapping[Streams, tuple[str, str]] = MappingProxyType(
    {
        Streams.SEMANTIC: ("editing_success", "over_editing"),
        Streams.PERCEPTUAL: ("naturalness", "artifact_freedom"),
    }
)
"""The two scores of each stream, by their names in ``Scores``."""


class ScoreKind(StrEnum):
    """Which scores make up the reward."""

    SOFT = "soft"
    """Probability-weighted means under the model's own distribution; the judgement fails where a
    score has none."""
    HARD = "hard"
    """The scores as written."""


class AnswerForm(StrEnum):
    """How much a judge writes before its scores."""

    REGIONS = "regions"
    """Edit regions, then reasoning about each of them, then scores."""
    REASONING = "reasoning"
    """Reasoning in plain prose, then scores; no regions."""
    SCORES = "scores"
    """Scores only, in both streams."""
    NONE = "none"
    """Nothing; a head on the model gives the scores."""

    @property
    def has_regions(self) -> bool:
        """Whether answers have regions; an empty list then means that nothing was edited."""
        return self is AnswerForm.REGIONS

    @property
    def has_reasoning(self) -> bool:
        """Whether answers have reasoning."""
        return self in (AnswerForm.REGIONS, AnswerForm.REASONING)


def is_regions(form: AnswerForm) -> bool:
    """Whether serialisation omits a form, so that older readers can still read the record."""
    return form is AnswerForm.REGIONS


class JudgeMode(StrEnum):
    """How a checkpoint with both modes scores an edit."""

    REASON = "reason"
    """Generates an answer and reads the scores in it."""
    SCALAR = "scalar"
    """Reads the scores from a scalar head on the prompt, without an answer."""


class JudgingOptions(Record):
    """How to judge one edit."""

    streams: Streams = Streams.BOTH
    """One stream alone costs less; the reward is then that stream's part."""
    scores: ScoreKind = ScoreKind.SOFT
    """Which scores make up the reward."""
    priority: int = Field(0, ge=0, le=9)
    """A server's queue judges edits of a higher priority first."""
    seed: Annotated[int, Field(ge=0, lt=2**63)] | None = None
    """Seed for sampling the answers; None: greedy decoding."""

    @property
    def names_soft_scores(self) -> bool:
        """Whether soft scores were requested explicitly: a judge without them must then fail."""
        return self.scores is ScoreKind.SOFT and "scores" in self.model_fields_set


class Mending(StrEnum):
    """Repairs allowed before an answer is parsed; none of them invents a score."""

    THOUGHT = "thought"
    """Drop a thought before the answer."""
    WORDS_AROUND = "words_around"
    """Drop words or a code fence around the object."""
    DOUBLED_BRACES = "doubled_braces"
    """Unwrap an object in a second pair of braces."""
    TRAILING_COMMA = "trailing_comma"
    """Drop a comma before a closing bracket or brace."""
    CONTROL_CHARACTER = "control_character"
    """Accept raw line breaks and other control characters in a text."""
    UNKNOWN_KEY = "unknown_key"
    """Drop a key that the form lacks."""
    QUOTED_NUMBER = "quoted_number"
    """Read a quoted score, coordinate or region id as a number."""
    FRACTIONAL_BOX = "fractional_box"
    """Round coordinates to whole numbers."""
    CLIPPED_BOX = "clipped_box"
    """Clip coordinates beyond 0..1000 to the picture's edge."""
    EMPTY_REGION = "empty_region"
    """Drop a region without area, and the references to it in the reasoning."""
    REPEATED_REGION_ID = "repeated_region_id"
    """Renumber regions with the same id in their order."""
    UNKNOWN_REGION = "unknown_region"
    """Drop a reference to a region that does not exist."""


class JudgementStatus(StrEnum):
    """Whether a judgement is usable."""

    OK = "ok"
    FAILED = "failed"


class JudgeIdentity(Record):
    """Identifies a judge: judges of the same identity judge alike.

    Its text is one line, such as ``judge/3, weights 1f2e3d4c5b6a, protocol tiny@0a1b2c3d4e5f,
    geometric``.
    """

    name: Text = Field(min_length=1)
    """Name of the served or registered model, of a checkpoint's folder, or of the baseline."""
    version: Text = ""
    """Version of the served or registered model, or the hub's commit; empty for a folder. For a
    model behind an address: whatever else changes its answers, such as ``temperature=0.7``."""
    weights: Text = ""
    """SHA-256 of the checkpoint's folder, as the registry and deployments record it, and after a
    ``+`` that of an adapter; empty for a judge without weights. ``unknown`` for a model behind an
    address, which may change under the same name."""
    protocol: Text = ""
    """Name of the protocol and the first digits of its SHA-256, as ``tiny@0a1b2c3d4e5f``; empty for
    a judge without prompts."""
    aggregation: Text = ""
    """How scores become a reward, and over how many passes if several."""

    def __str__(self) -> str:
        """One line, with the first digits of the weights' digest; see ``name_in``."""
        digests = "+".join(digest[:12] for digest in self.weights.split("+"))
        parts = (
            f"{self.name}/{self.version}" if self.version else self.name,
            digests and f"weights {digests}",
            self.protocol and f"protocol {self.protocol}",
            self.aggregation,
        )
        return ", ".join(filter(None, parts))

    @staticmethod
    def name_in(line: str) -> str:
        """The ``NAME/VERSION`` at the start of an identity's line."""
        return line.partition(", ")[0]


class Judgement(Record):
    """A judge's verdict on one edit, or the reason for its failure; also the label of an edit.

    A failed judgement has no scores and no reward, so no caller can mistake it for a score.
    """

    status: JudgementStatus
    regions: tuple[EditRegion, ...] = ()
    answer: AnswerForm = Field(AnswerForm.REGIONS, exclude_if=is_regions)
    """The form of the answer. In the form ``regions`` an empty list of regions means that the judge
    found none; the other forms never have any. JSON omits the form ``regions``."""
    sc_reasoning: Text = ""
    pq_reasoning: Text = ""
    scores: Scores | None = None
    """The scores as the judge wrote them."""
    soft_scores: Scores | None = None
    """Probability-weighted means over the score tokens, from engines that give probabilities."""
    reward: Annotated[float, Field(ge=0.0, le=1.0)] | None = None
    """Aggregated from the soft scores, or from ``scores`` where hard ones were requested or the
    judge has no others; over both streams, or the one requested."""
    reason: Text = ""
    """Why the judgement failed; empty if it did not."""
    failure: Failure | None = None
    """The kind of failure, from a closed list; None if it did not fail."""
    mended: tuple[Mending, ...] = ()
    """Repairs to the answers before parsing, each once."""
    judged_by: Text = ""
    """The line of the judge's ``JudgeIdentity``. For a label: the teacher's model, or the data set
    that has it."""

    @classmethod
    def failed(cls, reason: str, failure: Failure) -> Self:
        """A failed judgement, with its reason."""
        return cls(status=JudgementStatus.FAILED, reason=reason, failure=failure)

    @model_validator(mode="after")
    def _regions_only_of_a_form_with_regions(self) -> Self:
        if self.regions and not self.answer.has_regions:
            raise ValueError(f"a judgement in the form {self.answer} has no regions")
        return self

    @model_validator(mode="after")
    def _scores_if_and_only_if_ok(self) -> Self:
        if self.status is JudgementStatus.OK:
            if self.scores is None or self.reward is None or self.reason or self.failure:
                raise ValueError("an ok judgement has scores and a reward, and no reason")
        elif self.scores or self.soft_scores or self.reward is not None:
            raise ValueError("a failed judgement has neither scores nor a reward")
        elif not self.reason or self.failure is None:
            raise ValueError("a failed judgement has a reason and says which kind of failure it is")
        return self


class WireTensor(Record):
    """One tensor of the served judge's contract, shared by server, client and configuration."""

    name: str
    datatype: Literal["BYTES", "FP32", "INT64"]
    dims: tuple[int, ...]
    """Shape after the batch dimension; -1: any length, the same for a whole request."""
    optional: bool = False
    meaning: str


REQUEST_TENSORS = (
    WireTensor(
        name="SOURCE",
        datatype="BYTES",
        dims=(-1,),
        meaning="source picture files (PNG, JPEG, WebP), one or more an edit",
    ),
    WireTensor(name="EDITED", datatype="BYTES", dims=(1,), meaning="edited picture file"),
    WireTensor(name="INSTRUCTION", datatype="BYTES", dims=(1,), meaning="UTF-8 text"),
    WireTensor(
        name="STREAMS",
        datatype="BYTES",
        dims=(1,),
        optional=True,
        meaning="`both` (if absent), `sc` or `pq`",
    ),
    WireTensor(
        name="REWARD_FROM",
        datatype="BYTES",
        dims=(1,),
        optional=True,
        meaning="`soft` (if absent) or `hard` scores",
    ),
    WireTensor(
        name="PRIORITY",
        datatype="INT64",
        dims=(1,),
        optional=True,
        meaning="0 (if absent) to 9; higher ones are judged first",
    ),
    WireTensor(
        name="SEED",
        datatype="INT64",
        dims=(1,),
        optional=True,
        meaning="answers are drawn with it; -1 or absent: the likeliest answers",
    ),
)
"""Inputs of a request; every tensor has the batch dimension in front."""

RESPONSE_TENSORS = (
    WireTensor(
        name="REWARD", datatype="FP32", dims=(1,), meaning="0 to 1; NaN where there is none"
    ),
    WireTensor(
        name="SCORES",
        datatype="FP32",
        dims=(4,),
        meaning="editing success, over-editing, naturalness, freedom from artifacts, as written, "
        "0 to 25; NaN where there is none",
    ),
    WireTensor(name="STATUS", datatype="BYTES", dims=(1,), meaning="`ok` or `failed`"),
    WireTensor(
        name="JUDGEMENT",
        datatype="BYTES",
        dims=(1,),
        meaning="all of it as JSON: regions, reasoning, scores, soft scores, reward, reason",
    ),
    WireTensor(name="MODEL", datatype="BYTES", dims=(1,), meaning="name of the model"),
    WireTensor(name="VERSION", datatype="BYTES", dims=(1,), meaning="version of the model"),
)
"""Outputs of a response; every tensor has the batch dimension in front."""
