"""Evaluates a policy with the watch on hacking, and with the oracle by prompt."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from spatialreward.editors.interface import FlowEditor
from spatialreward.records import Record
from spatialreward.rl.types import Verdict, Watch
from spatialreward.world.config import DataConfig
from spatialreward.world.drawing import draw_samples
from spatialreward.world.editor_evaluation import edit_tasks
from spatialreward.world.labelling import edit_task
from spatialreward.world.oracle import oracle_judgement
from spatialreward.world.rl_claim.config import HeldOutConfig

_EDITS_AT_A_TIME = 64


class Look(Record):
    """One policy of a training."""

    step: int
    rewards: tuple[float, ...]
    """The oracle's, of one edit of each held-out prompt."""
    watch: dict[str, float]
    """Metrics of the watch."""
    stop: str
    """Why the watch would stop the training here; empty: it would not."""
    is_best: bool
    """Whether the watch's held-out judge rates it best so far."""


class Looking:
    """A ``rl.types.Watch`` that records another watch's verdicts but never stops a training.

    Trainings are compared at equal budgets, so all end with their last policy; the verdicts are
    kept for the report.
    """

    def __init__(self, watch: Watch, world: DataConfig, config: HeldOutConfig) -> None:
        """Configure; evaluates nothing yet.

        Args:
            watch: on hacking.
            world: its held-out stream provides sources and instructions.
            config: number of prompts, and sampling.
        """
        self._watch = watch
        self._config = config
        self._photos = Path(world.photos) if world.photos else None
        self._samples = list(draw_samples(world, "heldout", config.num_prompts, first=config.first))
        self.looks: list[Look] = []

    def __call__(self, step: int, policy: FlowEditor) -> Verdict:
        """See ``rl.types.Watch``."""
        verdict = self._watch(step, policy)
        edits = edit_tasks(
            policy,
            list(map(edit_task, self._samples)),
            self._config.denoising,
            self._config.seed,
            at_a_time=_EDITS_AT_A_TIME,
            description=f"held-out prompts after step {step}",
        )
        rewards = tuple(
            oracle_judgement(sample.world, edit.edited, self._photos).reward
            for sample, edit in zip(self._samples, edits, strict=True)
        )
        look = Look(
            step=step,
            rewards=rewards,
            watch=verdict.metrics,
            stop=verdict.stop or "",
            is_best=verdict.is_best,
        )
        self.looks.append(look)
        return verdict._replace(stop=None, is_best=False)

    def state_dict(self) -> dict[str, Any]:
        """The looks so far, and the watch's state."""
        looks = [one.model_dump() for one in self.looks]
        return {"watch": self._watch.state_dict(), "looks": looks}

    def load_state_dict(self, state_dict: dict[str, Any], /) -> None:
        """Continue from these looks."""
        self._watch.load_state_dict(state_dict["watch"])
        kept: Sequence[dict[str, Any]] = state_dict["looks"]
        self.looks = [Look.model_validate(one) for one in kept]
