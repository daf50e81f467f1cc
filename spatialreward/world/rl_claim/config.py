"""The compared rewards, and the training settings shared by all of them."""

from collections.abc import Mapping
from pathlib import Path
from typing import Literal, Self

from pydantic import Field, PositiveFloat, PositiveInt, model_validator

from spatialreward.editors.config import DenoisingConfig
from spatialreward.judges.load import ORACLE, PIXELS
from spatialreward.records import JudgeMode, Record
from spatialreward.rl.config import RlConfig
from spatialreward.rl.reward_config import RewardConfig
from spatialreward.rl.watch_config import WatchConfig
from spatialreward.training.config import JudgeKind
from spatialreward.world.claim.config import ClaimConfig
from spatialreward.world.claim.measuring import BY_HEAD
from spatialreward.world.config import DataConfig

RewardKind = Literal[
    "region_advantages",
    "regions",
    "no_regions",
    "scores",
    "discriminative",
    "joint",
    "pixels",
    "oracle",
]
CEILING: RewardKind = "oracle"
WITH_REGIONS: tuple[RewardKind, ...] = ("region_advantages", "regions")
"""One judge with regions: its advantages are per region, or for the whole picture."""
RIVALS: tuple[RewardKind, ...] = ("no_regions", "scores", "discriminative", "joint", "pixels")
_WITHOUT_MODEL: Mapping[RewardKind, str] = {"pixels": PIXELS, "oracle": ORACLE}
HELD_OUT = "held_out_judge"


def judge_of(kind: RewardKind) -> JudgeKind | None:
    """The kind of judge behind a reward; None: needs no model."""
    if kind in _WITHOUT_MODEL:
        return None
    return "regions" if kind in WITH_REGIONS else kind


class HeldOutConfig(Record):
    """The prompts on which the oracle measures every editor."""

    first: int = Field(0, ge=0)
    """Number of the first one in the world's held-out stream, outside every training."""
    num_prompts: PositiveInt = 256
    seed: int = 17
    """Of the initial noise, the same for all editors."""
    denoising: DenoisingConfig = DenoisingConfig()


class RlClaimConfig(Record):
    """One comparison: trains an editor with each reward and seed, all else being equal."""

    rewards: tuple[RewardKind, ...] = (*WITH_REGIONS, *RIVALS, CEILING)
    seeds: tuple[int, ...] = Field((5, 6, 7), min_length=1)
    """Of the sampling noise and the order of groups, each with its own prompts; the same for all
    rewards."""
    judges: ClaimConfig = ClaimConfig()
    """Training of judges, their data, and the initial editor of all trainings."""
    judges_by_seed: bool = False
    """Whether each seed has judges from a different seed. If not, all share the first one's, and
    intervals do not cover differences between trainings of judges."""
    rl: RlConfig = RlConfig(
        num_steps=50,
        num_prompts=8,
        group_size=8,
        scores_in_background=False,
        save_every=5,
        watch=WatchConfig(every_steps=10, num_prompts=16, group_size=4, num_sheet_rows=0),
    )
    """For every training; rewards, advantages, learning rate and seed are filled in. Steps, groups
    and edits are the same for all rewards, and rewards are compared within groups in standard
    deviations of the group, so their scales have no effect. As many trainings run at a time as
    there are cores, so judging in parallel with drawing would gain nothing."""
    learning_rates: tuple[PositiveFloat, ...] = Field((1e-4, 2e-4, 4e-4, 8e-4), min_length=1)
    """All rewards use the one with the largest rise of the oracle's own reward. Several are tried
    once each, with noise, prompts and held-out prompts separate from the claim's."""
    trying_seed: int = 4
    held_out: HeldOutConfig = HeldOutConfig()
    processes: PositiveInt = 2
    """Parallel trainings, with one thread each."""

    @property
    def world(self) -> DataConfig:
        """The source of prompts, with one edit per task."""
        return self.judges.world.model_copy(update={"candidates": (1,)})

    @property
    def judge_kinds(self) -> tuple[JudgeKind, ...]:
        """The required judges."""
        needed = (judge_of(kind) for kind in self.rewards)
        return tuple(dict.fromkeys(kind for kind in needed if kind is not None))

    @property
    def judge_seeds(self) -> tuple[int, ...]:
        """Of the judges for each seed, in the seeds' order."""
        trained = self.judges.seeds
        return tuple(
            trained[number if self.judges_by_seed else 0] for number in range(len(self.seeds))
        )

    def trying(self, learning_rate: float) -> RlConfig:
        """Settings of a training with the oracle's reward for trying a learning rate."""
        return self.rl_of(CEILING, self.trying_seed, learning_rate, {}, None)

    def rl_of(
        self,
        kind: RewardKind,
        seed: int,
        learning_rate: float,
        judges: Mapping[JudgeKind, Path],
        held_out: Path | None,
    ) -> RlConfig:
        """Settings of one training.

        Args:
            kind: of its reward.
            seed: of its noise.
            learning_rate: of all trainings.
            judges: checkpoints by the judges' kinds.
            held_out: checkpoint of the judge that watches all trainings but rewards none;
                None: the oracle alone watches.
        """
        trained = judge_of(kind)
        by_head = trained in BY_HEAD
        place = _WITHOUT_MODEL[kind] if trained is None else str(judges[trained])
        mode = None
        if trained is not None:
            mode = JudgeMode.SCALAR if by_head else JudgeMode.REASON
        watching = () if held_out is None else (RewardConfig(name=HELD_OUT, judge=str(held_out)),)
        return self.rl.model_copy(
            update={
                "seed": seed,
                "learning_rate": learning_rate,
                "rewards": (RewardConfig(name=kind, judge=place, mode=mode),),
                "advantages": "regions" if kind == "region_advantages" else "picture",
                "evaluation_rewards": watching,
            }
        )

    @model_validator(mode="after")
    def _is_a_comparison(self) -> Self:
        for name in ("rewards", "seeds", "learning_rates"):
            values = getattr(self, name)
            if len(set(values)) < len(values):
                raise ValueError(f"{name}: expected different ones, got {values}")
        if CEILING not in self.rewards or len(self.rewards) < 2:
            raise ValueError(f"rewards: expected {CEILING} and one other at least")
        untrained = [kind for kind in self.judge_kinds if kind not in self.judges.kinds]
        if untrained:
            raise ValueError(f"judges.kinds: expected {untrained[0]}, which a reward is of")
        if self.judges_by_seed and len(self.judges.seeds) < len(self.seeds):
            raise ValueError(
                f"judges_by_seed: expected {len(self.seeds)} of judges.seeds, one for each of "
                f"seeds, got {self.judges.seeds}"
            )
        steps, every = self.rl.num_steps, self.rl.watch.every_steps
        if steps % every:
            raise ValueError(
                f"rl.num_steps: expected a multiple of rl.watch.every_steps, {every}, so that "
                f"looks are evenly spaced, got {steps}"
            )
        return self
