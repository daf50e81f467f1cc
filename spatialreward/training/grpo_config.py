"""Settings of a judge's GRPO."""

from typing import Literal, Self

from pydantic import Field, NonNegativeFloat, PositiveFloat, PositiveInt, model_validator

from spatialreward.errors import InvalidInputError
from spatialreward.judges.openai_config import OpenAiConfig
from spatialreward.protocol.formats import AnswerFormat
from spatialreward.protocol.prompts import Protocol
from spatialreward.records import AnswerForm, Record
from spatialreward.training.config import OptimiserConfig, TrainingConfig


class RewardWeights(Record):
    """Weights of the rewards in an answer's sum; 0 disables a reward."""

    form: NonNegativeFloat = 1.0
    """1 for an answer that parses without repair, 0.5 after repair, else 0."""
    iou: NonNegativeFloat = 0.5
    """Match between the answer's regions and the label's, or for an edit without a label, those
    that its pixels propose. SC stream only."""
    agreement: NonNegativeFloat = 0.0
    """1 - mean difference from the label's scores, in shares of 25; needs labels."""
    order: NonNegativeFloat = 0.0
    """Share of the other edits of a ranking that the answer's scores order correctly, against their
    means in the same step; needs ``rankings``."""
    consistency: NonNegativeFloat = 1.0
    """Match between reasoning and pictures, 0..1, rated by ``consistency_judge``."""
    length: NonNegativeFloat = 0.25
    """Of a penalty: 0 up to three quarters of the longest answer, then falling to -1."""
    repetition: NonNegativeFloat = 0.25
    """Of a penalty: minus the share of four-word sequences that repeat earlier ones."""

    @property
    def used(self) -> dict[str, float]:
        """The enabled rewards, with their weights."""
        return {name: weight for name, weight in self if weight}


class RankedPrompts(Record):
    """Prompts whose answers are compared with a ranking of a data set."""

    share: float = Field(0.25, gt=0, le=1)
    """Share of the prompts about ranked edits."""
    dimension: str = "overall"
    """The dimension of the ranking to use."""
    stream: Literal["sc", "pq"] = "sc"
    """Stream of the prompts about ranked edits; compares this stream's part of the reward."""


class SamplingConfig(Record):
    """How to sample answers."""

    temperature: PositiveFloat = 0.9
    top_p: float = Field(0.9, gt=0, le=1)
    top_k: int = Field(50, ge=0)
    """0: all tokens."""
    repetition_penalty: PositiveFloat = 1.05
    max_new_tokens: PositiveInt = 1024
    """Limited by the longest answer of the judge's protocol."""


class GrpoConfig(TrainingConfig):
    """Trains a judge on rewards for its own answers; defaults are the paper's."""

    num_steps: PositiveInt = 500
    """Updates, each with ``optimiser.batch_size`` answers."""
    num_generations: int = Field(4, ge=2)
    """Answers per prompt; advantages compare their rewards."""
    perceptual_share: float = Field(0.5, ge=0, le=1)
    """Share of the prompts without a ranking that use the PQ stream."""
    rankings: RankedPrompts | None = None
    """None: ignore rankings of the data set."""
    sampling: SamplingConfig = SamplingConfig()
    rewards: RewardWeights = RewardWeights()
    consistency_judge: str | None = None
    """``openai:MODEL@https://HOST/v1``, with settings after a ``?``, as any judge's string."""
    kl_weight: PositiveFloat = 0.02
    """Weight of the divergence from the initial judge."""
    max_kl: PositiveFloat | None = 0.5
    """Stop after a step whose mean divergence per token exceeds this, and roll back to the last
    state before it; None: no limit."""
    max_masked_steps: PositiveInt = 3
    """Fail after this number of consecutive steps without a single reward."""
    protocol: Literal["tiny", "full"] | None = None
    """Protocol for a judge without its own; None: ``full``."""
    vllm_server: str | None = None
    """Address of ``trl vllm-serve``, which then generates the answers; None: transformers does."""
    report_every: PositiveInt = 1
    """Steps between reports."""
    save_every: PositiveInt = 50
    """Steps between states."""
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

    def check_protocol(self, protocol: Protocol) -> None:
        """Check that a judge's answers fit the rewards.

        Raises:
            InvalidInputError: they do not; names the setting, or the protocol.
        """
        form = protocol.answer
        if protocol.format is not AnswerFormat.JSON or form is AnswerForm.NONE:
            raise InvalidInputError(
                f"protocol {protocol.name}: GRPO needs a judge that writes answers in JSON, got "
                f"the form {form} in the format {protocol.format}"
            )
        for reward, has_it in (("iou", form.has_regions), ("consistency", form.has_reasoning)):
            if getattr(self.rewards, reward) and not has_it:
                raise InvalidInputError(
                    f"rewards.{reward}: the answers of protocol {protocol.name} are of the form "
                    f"{form}, expected 0"
                )

    def check_rewards(self) -> None:
        """Check that each enabled reward has its settings.

        Raises:
            InvalidInputError: one lacks them; names the setting.
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
