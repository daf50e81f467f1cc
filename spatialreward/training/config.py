"""Settings of the judge's trainings."""

from collections.abc import Mapping
from typing import Annotated, Literal, Self

from pydantic import Field, PositiveFloat, PositiveInt, model_validator

from spatialreward.records import AnswerForm, Record


class OptimiserConfig(Record):
    """Warm-up, then cosine decay to a tenth of the peak."""

    matrices: Literal["adamw", "muon"] = "adamw"
    """Optimiser of hidden layers' weight matrices; all other weights use AdamW."""
    learning_rate: PositiveFloat = 1e-3
    """For both: Muon's updates are scaled to the size of AdamW's."""
    precision: Literal["float32", "bfloat16", "fastest"] = "float32"
    """For matrix products in the forward pass; weights and optimiser keep 32 bits.

    ``fastest`` is bfloat16 if the processor has instructions for it, else float32.
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
    """Write a complete judge; false: only the adapter, which needs its base to load."""


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
    """Losses of a judge's scalar head; other kinds have none."""

    pairs: float = Field(1.0, ge=0)
    """Weight of the Bradley-Terry loss over the pairs of edits of one task, per dimension; a tie
    has the target 0.5. 0: needs no pairs."""
    known_scores: float | None = Field(None, ge=0)
    """Weight of the cross-entropy between ``sigmoid(logit)`` and a known score / 25; None: 1 for
    ``joint``, 0 for ``discriminative``."""
    ranked_by: dict[Dimension, tuple[str, ...]] = {  # noqa: RUF012 - pydantic copies it
        "editing_success": ("editing_success", "instruction_following", "prompt_following"),
        "over_editing": ("over_editing", "consistency", "instruction_following"),
        "naturalness": ("naturalness", "quality_aesthetic"),
        "artifact_freedom": ("artifact_freedom", "quality_aesthetic"),
    }
    """For each score, the dimensions of rankings that order it; a ranking's first match counts."""
    rankings_share: float | None = Field(None, ge=0, le=1)
    """Share of the samples from rankings; None: their share of all edits."""


class TrainingConfig(Record):
    """Common settings of all judge trainings."""

    seed: int = 11
    tuning: Tuning = FullTuning()
    trains_vision: bool = True
    """Whether to train vision tower and mergers; LoRA freezes them."""
    deepspeed: Literal["zero2", "zero3"] | None = None
    """What DeepSpeed partitions among processes: gradients and optimiser, or weights too."""
    processes: PositiveInt = 1
    """Number of processes on this machine, unless torchrun has started them already."""
    samples_at_a_time: PositiveInt | None = None
    """Samples of a batch in one process's memory at once; the rest accumulates."""
    gradient_checkpointing: bool = False
    """Recompute activations in the backward pass to save memory."""
    workers: int = Field(0, ge=0)
    """Processes that decode pictures, for each training process."""
    optimiser: OptimiserConfig = OptimiserConfig()

    @property
    def writes(self) -> bool:
        """Whether the judge generates answers, and so uses its output layer."""
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
    """``regions``: the judge writes regions, reasoning about each, and scores. Alternatives on the
    same data: ``no_regions`` writes reasoning and scores, ``scores`` only scores,
    ``discriminative`` nothing: it scores with a head; ``joint`` trains both ``regions`` and a head
    in the same passes."""
    head: HeadTraining = HeadTraining()
    """For the kinds ``discriminative`` and ``joint``."""
    num_samples: PositiveInt = 28_800
    """Number of training samples; a smaller data set is repeated."""
    perceptual_share: float = Field(0.15, ge=0, le=1)
    """Share of batches that train the PQ stream."""
    drawn_share: float = Field(0.0, ge=0, lt=1)
    """Share of the samples from edits that an editor drew; 0: needs none."""
    negatives_share: float = Field(0.0, ge=0, lt=1)
    """Share of the samples that are attacked copies of edits: extra text after the instruction that
    changes no label, and pictures that cannot be the edit of their source."""
    earlier_share: float = Field(0.0, ge=0, lt=1)
    """Share of the steps after which to keep an earlier checkpoint, as a second judge; 0: none."""
    protocol: Literal["tiny", "full"] = "tiny"
    """The judge's prompts, in the form that ``kind`` says."""
    max_tokens: PositiveInt = 8_192
    """Limit of prompt, pictures and answer; longer samples are dropped, never truncated."""
    report_every: PositiveInt = 50
    """Steps between reports of losses and speed."""
    save_every: PositiveInt = 250
    """Steps between states, for resuming after a kill."""
    optimiser: OptimiserConfig = OptimiserConfig(
        matrices="muon",
        learning_rate=8e-4,
        precision="fastest",
        warmup_steps=20,
        batch_size=24,
    )

    @property
    def answer(self) -> AnswerForm:
        """The form of the judge's answers."""
        return _FORMS[self.kind]

    @property
    def writes(self) -> bool:
        """See ``TrainingConfig``."""
        return self.answer is not AnswerForm.NONE

    @property
    def has_head(self) -> bool:
        """Whether to train a scalar head."""
        return self.kind in ("discriminative", "joint")

    @property
    def learns_pairs(self) -> bool:
        """Whether batches must group the edits of one task."""
        return self.has_head and self.head.pairs > 0

    @property
    def known_scores_weight(self) -> float:
        """Weight of the head's loss against known scores."""
        if self.head.known_scores is None:
            return 1.0 if self.kind == "joint" else 0.0
        return self.head.known_scores

    @property
    def num_steps(self) -> int:
        """Number of training batches."""
        return self.num_samples // self.optimiser.batch_size

    @property
    def earlier_step(self) -> int:
        """The step after which to keep an earlier checkpoint; 0: none."""
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
