"""Settings of the comparison: judges, data, and duration."""

from typing import Self

from pydantic import Field, PositiveInt, model_validator

from spatialreward.benchmarks.config import EditorEvaluationConfig
from spatialreward.records import Record
from spatialreward.training.config import JudgeKind, JudgeTrainingConfig, OptimiserConfig
from spatialreward.world.config import DataConfig
from spatialreward.world.tiny_config import DrawingConfig, EditorPretrainingConfig

OURS: JudgeKind = "regions"
RIVALS: tuple[JudgeKind, ...] = ("no_regions", "scores", "discriminative", "joint")


class ClaimConfig(Record):
    """One comparison: a judge of each kind and seed, from one base, on the same data."""

    kinds: tuple[JudgeKind, ...] = (OURS, *RIVALS)
    """Kinds to train; the first one is compared with the best of the others."""
    seeds: tuple[int, ...] = (11, 12, 13)
    """Of the data order, the same for all kinds."""
    world: DataConfig = DataConfig(
        seed=31,
        num_train=9_000,
        num_heldout=540,
        num_shards=1,
        candidates=(2, 3, 4),
        two_share=0.5,
        small_share=0.7,
    )
    """Several candidates a task, many small objects and instructions that ask for two things."""
    training: JudgeTrainingConfig = JudgeTrainingConfig(
        num_samples=12_000,
        perceptual_share=0.2,
        processes=2,
        optimiser=OptimiserConfig(
            matrices="muon",
            learning_rate=8e-4,
            precision="fastest",
            warmup_steps=20,
            batch_size=24,
        ),
    )
    """For every judge; kind and seed are filled in."""
    editor: EditorPretrainingConfig = EditorPretrainingConfig(num_samples=30_000)
    """Draws the groups of edits whose order is compared with the truth."""
    drawing: DrawingConfig | None = None
    """Edits from the editor and its earlier stages, of which judges learn ``training.drawn_share``;
    None: they learn from generated edits alone."""
    agreement: EditorEvaluationConfig = EditorEvaluationConfig()
    attention_edits: PositiveInt = 64
    """Edits for measuring attention."""
    timed_edits: int = Field(128, ge=2)
    """Edits that are judged again for timing."""

    @model_validator(mode="after")
    def _is_a_comparison(self) -> Self:
        for name, values in (("kinds", self.kinds), ("seeds", self.seeds)):
            if len(set(values)) < len(values) or len(values) < 2:
                raise ValueError(f"{name}: expected two different ones or more, got {values}")
        if (self.drawing is None) != (self.training.drawn_share == 0):
            raise ValueError(
                f"training.drawn_share {self.training.drawn_share:g}: expected more than 0 with "
                "drawing, and 0 without"
            )
        return self

    def training_of(self, kind: JudgeKind, seed: int) -> JudgeTrainingConfig:
        """Settings of one judge's training."""
        return self.training.model_copy(update={"kind": kind, "seed": seed})
