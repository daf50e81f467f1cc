"""Settings of the judge's training."""

from typing import Literal, Self

from pydantic import Field, PositiveFloat, PositiveInt, model_validator

from spatialreward.records import Record


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


class TaskShares(Record):
    """Share of the batches that train each describing task; they sum to 1."""

    differences: float = Field(ge=0, le=1)
    artifacts: float = Field(ge=0, le=1)
    scenes: float = Field(ge=0, le=1)
    request: float = Field(0.0, ge=0, le=1)

    @model_validator(mode="after")
    def _sum_to_one(self) -> Self:
        total = self.differences + self.artifacts + self.scenes + self.request
        if abs(total - 1) > 1e-6:
            raise ValueError(f"expected shares that sum to 1, got {total:g}")
        return self


class GroundingConfig(Record):
    """Teaches a model that starts from noise to describe what it sees."""

    seed: int = 7
    num_scene_samples: PositiveInt = 24_000
    """Samples of dense scene descriptions alone, of unspoiled pictures, before the other tasks."""
    num_difference_samples: PositiveInt = 72_000
    """Samples of differences, artifacts and scenes after that."""
    num_request_samples: PositiveInt = 72_000
    """Samples of what instructions ask for, and of all the rest, at the end."""
    difference_shares: TaskShares = TaskShares(differences=0.6, artifacts=0.25, scenes=0.15)
    request_shares: TaskShares = TaskShares(
        differences=0.45, artifacts=0.15, scenes=0.1, request=0.3
    )
    optimiser: OptimiserConfig = OptimiserConfig(matrices="muon", precision="fastest")


class JudgeTrainingConfig(Record):
    """Fine-tunes a describing model on judgements."""

    seed: int = 11
    num_samples: PositiveInt = 28_800
    """Judgements to train on; a smaller data set is gone through again."""
    perceptual_share: float = Field(0.15, ge=0, le=1)
    """Share of batches that train the PQ stream."""
    drawn_share: float = Field(0.0, ge=0, lt=1)
    """Share of the judgements that are of edits which an editor drew; 0: none are needed."""
    earlier_share: float = Field(0.0, ge=0, lt=1)
    """Share of the steps after which an earlier checkpoint is kept, as a second judge; 0: none."""
    optimiser: OptimiserConfig = OptimiserConfig(
        matrices="muon",
        learning_rate=8e-4,
        precision="fastest",
        warmup_steps=20,
        batch_size=24,
    )

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
