"""Settings of the judge's trainings."""

from collections.abc import Mapping
from typing import Annotated, Literal, Self

from pydantic import Field, PositiveFloat, PositiveInt, model_validator

from spatialreward.records import AnswerForm, Record


class OptimiserConfig(Record):
    """Warm-up, then a cosine down to a tenth."""

    matrices: Literal["adamw", "muon"] = "adamw"
    """What updates the weight matrices of hidden layers; everything else is always AdamW's."""
    learning_rate: PositiveFloat = 1e-3
    """Of both: Muon's updates are scaled to the size that AdamW's have."""
    precision: Literal["float32", "bfloat16", "fastest"] = "float32"
    """Of matrix products in the forward pass; weights and optimiser keep 32 bits.

    ``fastest`` is bfloat16 where the processor has instructions for it, else float32.
    """
    weight_decay: float = Field(0.01, ge=0)
    warmup_steps: PositiveInt = 100
    max_gradient_norm: PositiveFloat = 1.0
    batch_size: PositiveInt = 32


class FullTuning(Record):
    """Train the weights themselves."""

    kind: Literal["full"] = "full"


class LoraTuning(Record):
    """Train low-rank matrices beside the linear layers of the language model."""

    kind: Literal["lora"] = "lora"
    rank: PositiveInt = 32
    alpha: PositiveFloat = 64
    dropout: float = Field(0.05, ge=0, lt=1)
    merge: bool = True
    """Write a whole judge; false: the adapter alone, which is read together with its base."""


JudgeKind = Literal["regions", "no_regions", "scores", "discriminative", "joint"]
_FORMS: Mapping[JudgeKind, AnswerForm] = {
    "regions": AnswerForm.REGIONS,
    "no_regions": AnswerForm.REASONING,
    "scores": AnswerForm.SCORES,
    "discriminative": AnswerForm.NONE,
    "joint": AnswerForm.REGIONS,
}

Tuning = Annotated[FullTuning | LoraTuning, Field(discriminator="kind")]


Dimension = Literal["editing_success", "over_editing", "naturalness", "artifact_freedom"]


class HeadTraining(Record):
    """What the scalar head of a judge learns from; other kinds have none."""

    pairs: float = Field(1.0, ge=0)
    """Weight of the Bradley-Terry loss over the pairs of edits of one task, a dimension each; a tie
    has the target 0.5. 0: no pairs are needed."""
    known_scores: float | None = Field(None, ge=0)
    """Weight of the cross-entropy between ``sigmoid(logit)`` and a known score / 25; None: 1 for
    ``joint``, 0 for ``discriminative``."""
    ranked_by: dict[Dimension, tuple[str, ...]] = {  # noqa: RUF012 - pydantic copies it
        "editing_success": ("editing_success", "instruction_following", "prompt_following"),
        "over_editing": ("over_editing", "consistency", "instruction_following"),
        "naturalness": ("naturalness", "quality_aesthetic"),
        "artifact_freedom": ("artifact_freedom", "quality_aesthetic"),
    }
    """By score, the dimensions of rankings that order it; the first that a ranking has counts."""
    rankings_share: float | None = Field(None, ge=0, le=1)
    """Share of the samples that are edits of rankings; None: their share of all there are."""


class TrainingConfig(Record):
    """What all trainings of a judge have in common."""

    seed: int = 11
    tuning: Tuning = FullTuning()
    trains_vision: bool = True
    """Whether vision tower and mergers are trained; LoRA leaves them as they are."""
    deepspeed: Literal["zero2", "zero3"] | None = None
    """What DeepSpeed divides among the processes: gradients and optimiser, or the weights too."""
    processes: PositiveInt = 1
    """Processes that train together on this machine, unless torchrun has started them already."""
    samples_at_a_time: PositiveInt | None = None
    """Samples of a batch that one process has in memory; the others follow by accumulation."""
    gradient_checkpointing: bool = False
    """Compute activations twice to keep fewer of them."""
    workers: int = Field(0, ge=0)
    """Processes that decode pictures beside each training process."""
    optimiser: OptimiserConfig = OptimiserConfig()

    @property
    def writes(self) -> bool:
        """Whether the judge writes an answer, so that its output layer is of use."""
        return True

    @model_validator(mode="after")
    def _parts_fit(self) -> Self:
        if self.tuning.kind == "lora" and self.trains_vision:
            raise ValueError("trains_vision: LoRA trains the language model alone, expected false")
        if self.deepspeed and self.optimiser.matrices == "muon":
            raise ValueError(f"deepspeed {self.deepspeed}: takes adamw alone, not muon")
        return self


class JudgeTrainingConfig(TrainingConfig):
    """Fine-tunes a checkpoint on judgements."""

    kind: JudgeKind = "regions"
    """``regions``: the judge writes regions, reasoning about each, and scores. Rivals on the same
    data: ``no_regions`` writes reasoning and scores, ``scores`` those alone, ``discriminative``
    nothing: it scores with a head; ``joint`` learns to write as ``regions`` and to score with a
    head in the same passes."""
    head: HeadTraining = HeadTraining()
    """Of the kinds ``discriminative`` and ``joint``."""
    num_samples: PositiveInt = 28_800
    """Judgements to train on; a smaller data set is gone through again."""
    perceptual_share: float = Field(0.15, ge=0, le=1)
    """Share of batches that train the PQ stream."""
    drawn_share: float = Field(0.0, ge=0, lt=1)
    """Share of the judgements that are of edits which an editor drew; 0: none are needed."""
    negatives_share: float = Field(0.0, ge=0, lt=1)
    """Share of the samples that are attacked copies of edits: words behind the instruction that
    change no label, and pictures that cannot be the edit of their source."""
    earlier_share: float = Field(0.0, ge=0, lt=1)
    """Share of the steps after which an earlier checkpoint is kept, as a second judge; 0: none."""
    protocol: Literal["tiny", "full"] = "tiny"
    """What the judge is asked, in the form that ``kind`` says."""
    max_tokens: PositiveInt = 8_192
    """Of prompt, pictures and answer; a longer row is left out, never cut."""
    report_every: PositiveInt = 50
    """Steps between two reports of losses and speed."""
    save_every: PositiveInt = 250
    """Steps between two states, from which a training goes on after a kill."""
    optimiser: OptimiserConfig = OptimiserConfig(
        matrices="muon",
        learning_rate=8e-4,
        precision="fastest",
        warmup_steps=20,
        batch_size=24,
    )

    @property
    def answer(self) -> AnswerForm:
        """The form in which the judge learns to answer."""
        return _FORMS[self.kind]

    @property
    def writes(self) -> bool:
        """See ``TrainingConfig``."""
        return self.answer is not AnswerForm.NONE

    @property
    def has_head(self) -> bool:
        """Whether a scalar head is trained."""
        return self.kind in ("discriminative", "joint")

    @property
    def learns_pairs(self) -> bool:
        """Whether edits of one task have to come together."""
        return self.has_head and self.head.pairs > 0

    @property
    def known_scores_weight(self) -> float:
        """Weight of the head's loss against known scores."""
        if self.head.known_scores is None:
            return 1.0 if self.kind == "joint" else 0.0
        return self.head.known_scores

    @property
    def num_steps(self) -> int:
        """Batches to train on."""
        return self.num_samples // self.optimiser.batch_size

    @property
    def earlier_step(self) -> int:
        """The step after which an earlier checkpoint is kept; 0: none is."""
        return round(self.earlier_share * self.num_steps)

    @model_validator(mode="after")
    def _earlier_is_earlier(self) -> Self:
        if self.earlier_share and not 0 < self.earlier_step < self.num_steps:
            raise ValueError(
                f"earlier_share {self.earlier_share:g} of {self.num_steps} steps is none of those "
                "before the last"
            )
        return self

    @model_validator(mode="after")
    def _head_can_learn(self) -> Self:
        if not self.has_head:
            return self
        if self.negatives_share:
            raise ValueError(
                f"negatives_share {self.negatives_share:g}: a scalar head learns from edits as "
                "they are, expected 0"
            )
        if not self.head.pairs and not self.known_scores_weight:
            raise ValueError("head: pairs and known_scores are 0, so it would learn nothing")
        together = self.samples_at_a_time or self.optimiser.batch_size // self.processes
        if self.learns_pairs and together < 2:
            raise ValueError(
                f"kind {self.kind}: a pair needs 2 samples in memory at a time, expected "
                "samples_at_a_time, or batch_size of a process, of 2 or more, or head.pairs 0"
            )
        return self
