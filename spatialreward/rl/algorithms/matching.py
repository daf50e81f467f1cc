"""Common part of algorithms on finished edits, which add fresh noise to them."""

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import NamedTuple

import torch
from torch import Tensor

from spatialreward.editors.config import SamplingConfig, StepPlan
from spatialreward.editors.interface import FlowEditor
from spatialreward.rl.algorithms.config import AwmSettings, NftSettings
from spatialreward.rl.algorithms.interface import Batch, Models
from spatialreward.rl.seeds import Purpose, generator, normal_like, seed_of
from spatialreward.training.optimisation import Stateful

# B edits


class Noised(NamedTuple):
    """Finished edits with fresh noise on them."""

    latents: Tensor
    """``t x0 + (1 - t) e``, in the editor's dtype."""
    finished: Tensor
    """``x0``, in float32 or better."""
    noise: Tensor
    """``e``."""
    time: float
    """``t``; sigma is 1 - t."""
    guided: bool
    """Whether sampling uses guidance at this time, and so training too."""

    def velocity(self, editor: FlowEditor, batch: Batch) -> Tensor:
        """An editor's prediction, in float32 or better."""
        times_B = torch.full((len(self.latents),), self.time, device=self.latents.device)
        velocity = editor.velocity(self.latents, times_B, batch.condition, self.guided)
        return velocity.to(self.finished.dtype)


class Matching:
    """The part of an ``Algorithm`` that adds noise to finished edits sampled by the ODE.

    The times are those of the sampler's grid, the same for all edits of a step.
    """

    keeps_means = False
    starts_alike = False

    def __init__(
        self, settings: NftSettings | AwmSettings, sampling: SamplingConfig, seed: int
    ) -> None:
        """Configure the times from ``settings`` and the grid from ``sampling``."""
        self._times = settings
        self._sampling = sampling
        self._seed = seed

    def plan(self, step: int) -> StepPlan:
        """No stochastic step."""
        return StepPlan((), ())

    def drawing(self, models: Models) -> AbstractContextManager[None]:
        """The policy itself."""
        return nullcontext()

    def remember(self, models: Models, batch: Batch) -> dict[str, Tensor]:
        """Nothing beyond the finished edits."""
        return {}

    def num_terms(self, batch: Batch) -> int:
        """One per time."""
        return len(self._numbers(batch))

    def finish_step(self, step: int) -> dict[str, float]:
        """Do nothing."""
        return {}

    @property
    def parts(self) -> Sequence[Stateful]:
        """No state."""
        return ()

    def noised(self, batch: Batch, number: int) -> Noised:
        """The edits with noise at the time of term ``number``; deterministic."""
        step = self._numbers(batch)[number]
        finished = batch.rollout.finished
        generators = [generator(seed_of(seed, Purpose.MATCH, step)) for seed in batch.seeds]
        precise = finished.to(torch.promote_types(finished.dtype, torch.float32))
        noise = normal_like(finished, generators).to(precise)
        time = batch.rollout.times[step]
        latents = (time * precise + (1 - time) * noise).to(finished.dtype)
        return Noised(latents, precise, noise, time, self._sampling.is_guided(step))

    def _numbers(self, batch: Batch) -> tuple[int, ...]:
        steps = self._sampling.num_denoising_steps
        return self._times.plan(steps, batch.step, self._seed)


def distance(one: Tensor, other: Tensor) -> Tensor:
    """Mean squared difference of two velocities, ``[B]``."""
    return (one - other).square().flatten(1).mean(dim=1)
