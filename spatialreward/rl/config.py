"""Settings of the online RL of an editor; free of torch."""

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
    """Pairs of source picture and instruction a step, of all processes together."""
    prompts: str = ""
    """Packed data set whose sources and instructions are asked for, in its order: a folder or
    ``s3://BUCKET/PREFIX#sha256=HEX``; or a JSON Lines file of tasks (``data.task_file``); empty for
    the generated world's."""
    group_size: int = Field(8, ge=2)
    """Edits drawn for each of them; an edit is compared with its siblings only."""
    algorithm: AlgorithmSettings = FlowGrpoSettings()
    sampling: SamplingConfig = SamplingConfig()
    """How edits are drawn. Algorithms that train on finished edits draw them by the ODE, with noise
    of their own to start from, and leave the settings of the noise aside."""

    advantages: Literal["picture", "regions"] = "picture"
    """``regions`` credits each place with what the judge says of it (``rl.regions``)."""
    min_region_iou: float = Field(0.5, gt=0, le=1)
    """From which IoU on two edits of a group are said to have the same region."""
    combine: Literal["sum", "each"] = "sum"
    """Several rewards are summed by their weights before they are compared within a group, or each
    is compared by itself and then they are summed, which keeps one of small spread alive."""
    max_advantage: PositiveFloat = 5.0
    """In standard deviations of the group."""
    min_spread: float = Field(1e-4, ge=0)
    """Standard deviation of the rewards of a group below which it teaches nothing."""

    learning_rate: PositiveFloat = 2e-4
    weight_decay: float = Field(0.0, ge=0)
    max_gradient_norm: PositiveFloat = 1.0
    updates_per_step: PositiveInt = 1
    """Optimiser steps on the edits of one step, each on groups of its own, drawn for each step."""
    ema_decay: float | None = Field(0.9, ge=0, lt=1)
    """Of the moving average of the trained weights after each update, which is what is looked at
    and written; a training goes on from the weights themselves. None: there is none."""

    groups_at_a_time: PositiveInt = 4
    """Groups that are drawn together; they are judged while the next ones are drawn. Sources of
    different sizes are never drawn together."""
    edits_at_a_time: PositiveInt | None = None
    """Edits that the editor sees at once, in drawing and in training alike; None: all of them."""
    scores_in_background: bool = True
    """Whether drawing and training go on while edits are judged; the result is the same."""
    save_every: PositiveInt = 5
    """Steps after which the state is kept, to go on after a kill."""
    processes: PositiveInt = 1
    """Processes that train together on this machine, unless torchrun has started them already."""
    sharding: Literal["zero2", "zero3", "fsdp2"] | None = None
    """What is divided among them: gradients and optimiser by DeepSpeed (``zero2``), or the frozen
    base by DeepSpeed (``zero3``) or torch (``fsdp2``). None: each has everything, as with DDP."""
    watch: WatchConfig = WatchConfig()
    """On reward hacking."""

    @property
    def deepspeed(self) -> Literal["zero2", "zero3"] | None:
        """What DeepSpeed divides, if it is used."""
        return None if self.sharding == "fsdp2" else self.sharding

    @property
    def divides_base(self) -> bool:
        """Whether each process has a part of the frozen base only."""
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
        """Make sure that so many processes can train together.

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
