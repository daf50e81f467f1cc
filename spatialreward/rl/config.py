"""Settings of an editor's online RL; free of torch."""

from typing import Literal, Self

from pydantic import Field, PositiveFloat, PositiveInt, model_validator

from spatialreward.editors.config import SamplingConfig
from spatialreward.rl.algorithms.config import (
    AlgorithmSettings,
    AwmSettings,
    FlowDppoSettings,
    FlowGrpoSettings,
    GuardSettings,
    NftSettings,
)
from spatialreward.rl.reward_config import RewardsConfig
from spatialreward.rl.watch_config import WatchConfig


class RlConfig(RewardsConfig):
    """Online RL of an editor with the rewards of judges."""

    seed: int = Field(5, ge=0)
    num_steps: PositiveInt = 40
    num_prompts: PositiveInt = 8
    """Pairs of source picture and instruction per step, over all processes."""
    prompts: str = ""
    """Packed data set that provides sources and instructions, in its order: a folder or
    ``s3://BUCKET/PREFIX#sha256=HEX``; or a JSON Lines file of tasks (``data.task_file``); empty for
    the generated world's."""
    group_size: int = Field(8, ge=2)
    """Edits per pair; advantages compare the edits of one pair only."""
    algorithm: AlgorithmSettings = FlowGrpoSettings()
    sampling: SamplingConfig = SamplingConfig()
    """How to sample edits. Algorithms on finished edits use the ODE with separate initial noise,
    and ignore the noise settings."""

    advantages: Literal["picture", "regions"] = "picture"
    """``regions`` assigns each position the judge's statement about it (``rl.regions``)."""
    min_region_iou: float = Field(0.5, gt=0, le=1)
    """Smallest IoU at which regions of two edits in a group count as the same."""
    combine: Literal["sum", "each"] = "sum"
    """Sum weighted rewards before comparing them within a group, or compare each separately and
    then sum, which preserves a reward of small spread."""
    max_advantage: PositiveFloat = 5.0
    """In standard deviations of the group."""
    min_spread: float = Field(1e-4, ge=0)
    """Groups whose rewards have a lower standard deviation get no advantages."""

    learning_rate: PositiveFloat = 2e-4
    weight_decay: float = Field(0.0, ge=0)
    max_gradient_norm: PositiveFloat = 1.0
    updates_per_step: PositiveInt = 1
    """Optimiser steps on the edits of one step, each on its own groups, drawn in each step."""
    ema_decay: float | None = Field(0.9, ge=0, lt=1)
    """Of the moving average of the trained weights after each update, which is evaluated and
    written; training continues from the weights themselves. None: no average."""

    groups_at_a_time: PositiveInt = 4
    """Groups drawn together; they are judged while the next ones are drawn. Sources of different
    sizes are never drawn together."""
    edits_at_a_time: PositiveInt | None = None
    """Edits per forward pass, in sampling and in training; None: all of them."""
    scores_in_background: bool = True
    """Whether sampling and training continue during judging; the result is the same."""
    save_every: PositiveInt = 5
    """Steps between states, for resuming after a kill."""
    processes: PositiveInt = 1
    """Number of processes on this machine, unless torchrun has started them already."""
    sharding: Literal["zero2", "zero3", "fsdp2"] | None = None
    """What to partition among them: gradients and optimiser by DeepSpeed (``zero2``), or the frozen
    base by DeepSpeed (``zero3``) or torch (``fsdp2``). None: replicate everything, as DDP does."""
    watch: WatchConfig = WatchConfig()
    """On reward hacking."""

    @property
    def deepspeed(self) -> Literal["zero2", "zero3"] | None:
        """What DeepSpeed partitions, if used."""
        return None if self.sharding == "fsdp2" else self.sharding

    @property
    def divides_base(self) -> bool:
        """Whether each process has only a part of the frozen base."""
        return self.sharding in ("zero3", "fsdp2")

    @model_validator(mode="after")
    def _processes_do_alike(self) -> Self:
        if self.sharding is None:
            return self
        if self.groups_at_a_time > 1:
            raise ValueError(
                f"sharding {self.sharding}: each process has to do as many passes as the others, "
                "whatever sizes its sources have: expected groups_at_a_time 1, got "
                f"{self.groups_at_a_time}"
            )
        self.check_divides(self.processes)
        return self

    def check_divides(self, processes: int) -> None:
        """Check that this number of processes can train together.

        Raises:
            ValueError: some would have more groups of an update than others, where that matters.
        """
        together = self.updates_per_step * processes
        if self.sharding is not None and self.num_prompts % together:
            raise ValueError(
                f"sharding {self.sharding}: each process has to do as many passes as the others: "
                f"expected num_prompts to be a multiple of {together}, updates_per_step times "
                f"processes, got {self.num_prompts}"
            )

    @model_validator(mode="after")
    def _groups_suffice(self) -> Self:
        if self.updates_per_step > self.num_prompts:
            raise ValueError(
                f"updates_per_step: expected at most num_prompts, {self.num_prompts}, so that each "
                f"has a group, got {self.updates_per_step}"
            )
        return self

    @model_validator(mode="after")
    def _algorithm_has_what_it_needs(self) -> Self:
        match self.algorithm:
            case GuardSettings() | FlowDppoSettings() if self.sampling.noise != "sde":
                raise ValueError(
                    f'algorithm {self.algorithm.kind}: expected sampling.noise "sde", whose '
                    f"densities it compares, got {self.sampling.noise!r}"
                )
            case AwmSettings() if self.ema_decay is None:
                raise ValueError(
                    "ema_decay: algorithm awm breaks without a moving average to stay near to"
                )
            case NftSettings() | AwmSettings():
                self._check_times(self.algorithm)
                return self
        if not self.sampling.eta:
            raise ValueError(
                "sampling.eta: expected more than 0: deterministic steps have no probability to "
                "change, and the edits of a group are all the same"
            )
        return self

    def _check_times(self, algorithm: NftSettings | AwmSettings) -> None:
        available = len(algorithm.grid(self.sampling.num_denoising_steps))
        if (algorithm.num_times or 0) > available:
            raise ValueError(
                f"algorithm.num_times: expected at most {available}, the times of the grid that it "
                f"may be, got {algorithm.num_times}"
            )
