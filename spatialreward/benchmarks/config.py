"""What judges and editors must reach to become champion, and how editors are measured."""

from pydantic import Field, PositiveInt

from spatialreward.editors.config import DenoisingConfig
from spatialreward.records import Record


class JudgeGate(Record):
    """What a judge must reach to become champion: on held-out edits, and beside the champion."""

    min_pairwise_accuracy: float = Field(0.85, ge=0, le=1)
    min_mean_iou: float = Field(0.65, ge=0, le=1)
    """0: no regions are asked for, so that a judge which predicts none can pass."""
    max_unparsable_share: float = Field(0.01, ge=0, le=1)
    """Of the held-out edits, and of the edits of every other benchmark in its report."""
    main_benchmark: str = Field("world", min_length=1)
    """On which it must be better than the champion; on no other may it be worse beyond noise."""
    gain_ci95_low_above: float = Field(0.0, ge=-1, lt=1)
    """Its gain over the champion on the main benchmark is larger than this, in 95 of 100 such
    comparisons; -1: not being worse beyond noise is enough."""


class EditorGate(Record):
    """What an editor must show on held-out instructions to become champion."""

    gain_ci95_low_above: float = Field(0.0, ge=-1, lt=1)
    """Its gain over the editor before it is larger than this, in 95 of 100 such comparisons."""


class EditorEvaluationConfig(Record):
    """How two editors are compared on held-out instructions."""

    prompts: str = ""
    """Packed data set or JSON Lines file of tasks, as ``rl.prompts`` has it, whose last ones both
    editors get; a watch on the training takes the first ones. Empty for the generated world's,
    whose oracle knows the truth; elsewhere the gain is the judge's."""
    num_instructions: PositiveInt = 256
    seed: int = 17
    """Of the starting noise, the same for both editors."""
    denoising: DenoisingConfig = DenoisingConfig()
    edits_at_a_time: PositiveInt = 64
    """Edits that an editor draws at once; sources of different sizes are never drawn together."""
    num_bootstrap_samples: PositiveInt = 10_000
    num_groups: PositiveInt = 40
    """Groups of the first editor's edits within which the judge's order is compared with the
    oracle's."""
    group_size: int = Field(8, ge=2)
    """Edits of one group, each from noise of its own."""
