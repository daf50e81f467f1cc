"""What judges and editors must reach to become champion, and how editors are measured."""

from pydantic import Field, PositiveInt

from spatialreward.editors.config import DenoisingConfig
from spatialreward.records import Record


class JudgeGate(Record):
    """Figures on held-out edits that a judge must reach to become champion."""

    min_pairwise_accuracy: float = Field(0.85, ge=0, le=1)
    min_mean_iou: float = Field(0.65, ge=0, le=1)
    """0: no regions are asked for, so that a judge which predicts none can pass."""
    max_unparsable_share: float = Field(0.01, ge=0, le=1)


class EditorGate(Record):
    """What an editor must show on held-out instructions to become champion."""

    gain_ci95_low_above: float = Field(0.0, ge=-1, lt=1)
    """Its gain over the editor before it is larger than this, in 95 of 100 such comparisons."""


class EditorEvaluationConfig(Record):
    """How two editors are compared on held-out instructions."""

    num_instructions: PositiveInt = 256
    seed: int = 17
    """Of the starting noise, the same for both editors."""
    denoising: DenoisingConfig = DenoisingConfig()
    num_bootstrap_samples: PositiveInt = 10_000
    num_groups: PositiveInt = 40
    """Groups of the first editor's edits within which the judge's order is compared with the
    oracle's."""
    group_size: int = Field(8, ge=2)
    """Edits of one group, each from noise of its own."""
