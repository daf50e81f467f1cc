"""Settings of a judge's GRPO."""

from typing import Literal, Self

from pydantic import Field, NonNegativeFloat, PositiveFloat, PositiveInt, model_validator

from spatialreward.errors import InvalidInputError
from spatialreward.judges.openai_config import OpenAiConfig
from spatialreward.records import Record
from spatialreward.training.config import OptimiserConfig, TrainingConfig


class RewardWeights(Record):
    """What an answer's reward is the sum of; 0 leaves a reward out."""

    form: NonNegativeFloat = 1.0
    """1 for an answer that reads as it stands, half for one that had to be mended, else 0."""
    iou: NonNegativeFloat = 0.5
    """How well the answer's regions match the label's; of an edit without a label, those that its
    pixels propose. SC alone."""
    agreement: NonNegativeFloat = 0.0
    """1 less the mean difference from the label's scores, in shares of 25; needs labels."""
    order: NonNegativeFloat = 0.0
    """Share of the other edits of a ranking that the answer's scores order rightly against the mean
    of theirs in the same step; needs ``rankings``."""
    consistency: NonNegativeFloat = 1.0
    """How well the reasoning fits the pictures, as ``consistency_judge`` says, 0..1."""
    length: NonNegativeFloat = 0.25
    """Of a penalty: 0 up to three quarters of the longest answer, from there down to -1."""
    repetition: NonNegativeFloat = 0.25
    """Of a penalty: minus the share of runs of four words that stood in the answer before."""

    @property
    def used(self) -> dict[str, float]:
        """The rewards that count, with their weights."""
        return {name: weight for name, weight in self if weight}


class RankedPrompts(Record):
    """Prompts whose answers are held against a ranking of a data set."""

    share: float = Field(0.25, gt=0, le=1)
    """Share of the prompts that are of ranked edits."""
    dimension: str = "overall"
    """Of the orders that a ranking has, the one that counts."""
    stream: Literal["sc", "pq"] = "sc"
    """What is asked about ranked edits; the order is that of this stream's part of the reward."""


class SamplingConfig(Record):
    """How answers are drawn."""

    temperature: PositiveFloat = 0.9
    top_p: float = Field(0.9, gt=0, le=1)
    top_k: int = Field(50, ge=0)
    """0: all tokens."""
    repetition_penalty: PositiveFloat = 1.05
    max_new_tokens: PositiveInt = 1024
    """Never more than the longest answer of the judge's protocol."""


class GrpoConfig(TrainingConfig):
    """Trains a judge on rewards for its own answers; the defaults are the paper's."""

    num_steps: PositiveInt = 500
    """Updates. ``optimiser.batch_size`` answers are drawn for each of them."""
    num_generations: int = Field(4, ge=2)
    """Answers to a prompt; their rewards are compared with each other."""
    perceptual_share: float = Field(0.5, ge=0, le=1)
    """Share of the prompts without a ranking that are of the PQ stream."""
    rankings: RankedPrompts | None = None
    """None: rankings of the data set are not used."""
    sampling: SamplingConfig = SamplingConfig()
    rewards: RewardWeights = RewardWeights()
    consistency_judge: str | None = None
    """``openai:MODEL@https://HOST/v1``, with settings behind a ``?``, as any judge's string."""
    kl_weight: PositiveFloat = 0.02
    """Of the divergence from the judge that the training starts from."""
    max_kl: PositiveFloat | None = 0.5
    """A step whose mean divergence a token is above this ends the training, and the judge is that
    of the last state before; None: no bound."""
    max_masked_steps: PositiveInt = 3
    """So many steps in a row without a single reward end the training with an error."""
    protocol: Literal["tiny", "full"] | None = None
    """What a judge without a protocol of its own is asked; None: ``full``."""
    vllm_server: str | None = None
    """Address of ``trl vllm-serve``, which then draws the answers; None: transformers does."""
    report_every: PositiveInt = 1
    """Steps between two reports."""
    save_every: PositiveInt = 50
    """Steps between two states."""
    optimiser: OptimiserConfig = OptimiserConfig(
        learning_rate=5e-7, precision="fastest", warmup_steps=15, batch_size=64
    )

    @property
    def prompts_a_step(self) -> int:
        """Prompts of one update."""
        return self.optimiser.batch_size // self.num_generations

    @model_validator(mode="after")
    def _parts_of_grpo_fit(self) -> Self:
        if self.optimiser.batch_size % self.num_generations:
            raise ValueError(
                f"optimiser.batch_size: expected a multiple of num_generations = "
                f"{self.num_generations}, got {self.optimiser.batch_size}"
            )
        if self.optimiser.matrices == "muon":
            raise ValueError("optimiser.matrices: GRPO takes adamw alone, not muon")
        if not self.rewards.used:
            raise ValueError("rewards: expected a weight above 0")
        return self

    def check_rewards(self) -> None:
        """Make sure that each reward that counts has what it needs beside the data.

        Raises:
            InvalidInputError: one has not; names the setting.
        """
        if self.rewards.order and self.rankings is None:
            raise InvalidInputError(
                "rewards.order: needs rankings, expected rankings.share or rewards.order = 0"
            )
        if not self.rewards.consistency:
            return
        if self.consistency_judge is None:
            raise InvalidInputError(
                "rewards.consistency: needs a consistency_judge, expected "
                "openai:MODEL@https://HOST/v1 or rewards.consistency = 0"
            )
        OpenAiConfig.parse(self.consistency_judge)
