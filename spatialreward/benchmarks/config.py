"""Promotion gates of judges and editors, and the evaluation of editors."""

from pydantic import Field, PositiveInt

from spatialreward.editors.config import DenoisingConfig
from spatialreward.records import Record


class JudgeGate(Record):
    """Requirements for a new champion judge: on held-out edits, and against the champion."""

    min_pairwise_accuracy: float = Field(0.85, ge=0, le=1)
    min_mean_iou: float = Field(0.65, ge=0, le=1)
    """0: no requirement, so that a judge without regions can pass."""
    max_unparsable_share: float = Field(0.01, ge=0, le=1)
    """For the held-out edits, and for the edits of every other benchmark in its report."""
    main_benchmark: str = Field("world", min_length=1)
    """Benchmark on which it must beat the champion; on no other may it be significantly worse."""
    gain_ci95_low_above: float = Field(0.0, ge=-1, lt=1)
    """Lower bound of the 95 % interval of its gain over the champion on the main benchmark must
    exceed this; -1: not being significantly worse is enough."""


class EditorGate(Record):
    """Requirements for a new champion editor on held-out instructions."""

    gain_ci95_low_above: float = Field(0.0, ge=-1, lt=1)
    """The lower bound of the 95 % interval of its gain over the previous editor must exceed
    this."""


class EditorEvaluationConfig(Record):
    """How to compare two editors on held-out instructions."""

    prompts: str = ""
    """Packed data set or JSON Lines file of tasks (see ``rl.prompts``), whose last ones both
    editors get; a watch on the training takes the first ones. Empty: the generated world's, whose
    oracle knows the truth; otherwise the judge measures the gain."""
    num_instructions: PositiveInt = 256
    seed: int = 17
    """Of the initial noise, the same for both editors."""
    denoising: DenoisingConfig = DenoisingConfig()
    edits_at_a_time: PositiveInt = 64
    """Edits drawn together; sources of different sizes are never drawn together."""
    num_bootstrap_samples: PositiveInt = 10_000
    num_groups: PositiveInt = 40
    """Groups of the first editor's edits within which to compare the judge's order with the
    oracle's."""
    group_size: int = Field(8, ge=2)
    """Edits of one group, each from its own noise."""
