"""Settings of Flow-GRPO (arXiv 2505.05470); DESIGN.md section 4 has the reference's."""

from pydantic import Field, PositiveFloat, PositiveInt, field_validator

from spatialreward.editors.config import SamplingConfig
from spatialreward.records import Record


class FlowGrpoConfig(Record):
    """Online RL of an editor with the rewards of a judge."""

    seed: int = 5
    num_steps: PositiveInt = 40
    num_prompts: PositiveInt = 8
    """Pairs of source picture and instruction a step."""
    prompts: str = ""
    """Packed data set whose sources and instructions are asked for, in its order: a folder or
    ``s3://BUCKET/PREFIX#sha256=HEX``; empty for the generated world's."""
    group_size: int = Field(8, ge=2)
    """Edits drawn for each of them; an edit is compared with its siblings only."""
    sampling: SamplingConfig = SamplingConfig()
    learning_rate: PositiveFloat = 2e-4
    weight_decay: float = Field(0.0, ge=0)
    max_gradient_norm: PositiveFloat = 1.0
    updates_per_step: PositiveInt = 1
    """Optimiser steps on the edits of one step, each on a part of them that is drawn each time."""
    clip_range: PositiveFloat = 2e-4
    """Of the probability ratio; small, since log-probs are averaged over the latent's elements."""
    kl_weight: float = Field(0.04, ge=0)
    """Weight of the divergence from the editor that was started from."""
    max_advantage: PositiveFloat = 5.0
    """In standard deviations of the group."""
    max_failed_share: float = Field(0.5, ge=0, le=1)
    """A step in which the judge failed on more of the edits stops the training."""

    @field_validator("sampling")
    @classmethod
    def _is_stochastic(cls, sampling: SamplingConfig) -> SamplingConfig:
        if not sampling.eta:
            raise ValueError(
                "eta: expected more than 0: deterministic steps have no probability to change, "
                "and the edits of a group are all the same"
            )
        return sampling
