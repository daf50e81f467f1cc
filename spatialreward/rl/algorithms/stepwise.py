"""Common part of algorithms on the stochastic steps of a rollout."""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import NamedTuple

import torch
from torch import Tensor

from spatialreward.editors.config import SamplingConfig, StepPlan
from spatialreward.editors.interface import FlowEditor
from spatialreward.editors.sampling import (
    Transition,
    log_probs_by_element,
    mean_of_elements,
    transition,
)
from spatialreward.rl.algorithms.interface import Advantages, Batch, Models, Part, Term, parts_of
from spatialreward.training.optimisation import Stateful

# B edits, T trained steps


class Replay(NamedTuple):
    """A trained step under the sampling policy and under the current policy."""

    now: Transition
    """With its gradient."""
    following: Tensor
    """The sampled latents."""
    old_mean: Tensor | None
    """Their mean under the sampling policy, if kept."""
    old_log_prob_B: Tensor
    length: float
    """Length of the step, in time."""

    def log_ratio(self, part: Part) -> Tensor:
        """Current minus old log-prob of the sample, with the weights of ``part``, ``[B]``.

        Without weights the old log-prob is the stored one, else that of the stored mean.
        """
        now = mean_of_elements(log_probs_by_element(self.now, self.following), part.weights)
        if part.weights is None:
            return now - self.old_log_prob_B
        then = self.now._replace(mean=self.old_mean)
        return now - mean_of_elements(log_probs_by_element(then, self.following), part.weights)


class Gain(NamedTuple):
    """One part's contribution of a step."""

    gain_B: Tensor
    """To maximise."""
    log_ratio_B: Tensor
    outside_B: Tensor
    """1 where the objective is clipped, else 0."""


Objective = Callable[[Replay, Part], Gain]
StepWeight = Callable[[Batch, int], float]


def divergence(step: Transition, reference: Transition) -> Tensor:
    """Squared distance of two means in sigmas, halved and averaged over elements, ``[B]``.

    The KL divergence of both Gaussians without the step's length, which would weight late steps of
    shifted grids too little; the form of EditScore and of flow_grpo since its issue 22.
    """
    apart = (step.mean - reference.mean) / step.sigma
    return 0.5 * mean_of_elements(apart.square())


class Stepwise:
    """An ``Algorithm`` whose terms are the trained steps of a rollout."""

    starts_alike = True

    def __init__(
        self,
        sampling: SamplingConfig,
        seed: int,
        kl_weight: float,
        objective: Objective,
        *,
        keeps_means: bool = False,
        weight_of: StepWeight = lambda batch, number: 1.0,
    ) -> None:
        """Assemble an algorithm.

        Args:
            sampling: how to sample edits.
            seed: of the drawn steps.
            kl_weight: of the divergence from the reference.
            objective: the gain of a step.
            keeps_means: whether the objective needs the sampling policy's means.
            weight_of: a step's weight in the loss, without the divergence.
        """
        self.keeps_means = keeps_means
        self._sampling = sampling
        self._seed = seed
        self._kl_weight = kl_weight
        self._objective = objective
        self._weight_of = weight_of

    def plan(self, step: int) -> StepPlan:
        """See ``Algorithm``."""
        return self._sampling.plan(step, self._seed)

    def drawing(self, models: Models) -> AbstractContextManager[None]:
        """The policy itself."""
        return nullcontext()

    def remember(self, models: Models, batch: Batch) -> dict[str, Tensor]:
        """Nothing beyond the rollout."""
        return {}

    def num_terms(self, batch: Batch) -> int:
        """One per trained step."""
        return len(batch.rollout.steps)

    def term(self, models: Models, batch: Batch, advantages: Advantages, number: int) -> Term:
        """Loss of trained step ``number``, counted from 0 among them."""
        rollout, step = batch.rollout, batch.rollout.steps[number]
        now = self._transition(models.policy, batch, number)
        replay = Replay(
            now,
            rollout.after[number],
            None if rollout.means is None else rollout.means[number],
            rollout.log_probs_TB[number],
            rollout.times[step + 1] - rollout.times[step],
        )
        gains = [self._objective(replay, part) for part in parts_of(advantages)]
        loss_B = -self._weight_of(batch, number) * sum(one.gain_B for one in gains)
        outside_B = torch.stack([one.outside_B for one in gains]).amax(dim=0)
        log_ratio_B = _farthest([one.log_ratio_B.detach() for one in gains])
        metrics = {
            "policy/ratio": log_ratio_B.exp(),
            "policy/clipped_share": outside_B,
            f"policy/ratio/step_{step:02d}": log_ratio_B.exp(),
            f"policy/clipped_share/step_{step:02d}": outside_B,
        }
        if self._kl_weight:
            with torch.no_grad():
                anchor = self._transition(models.reference, batch, number)
            kl_B = divergence(now, anchor)
            loss_B = loss_B + self._kl_weight * kl_B
            metrics["policy/kl"] = kl_B.detach()
        return Term(loss_B, log_ratio_B, metrics)

    def finish_step(self, step: int) -> dict[str, float]:
        """Do nothing."""
        return {}

    @property
    def parts(self) -> Sequence[Stateful]:
        """No state."""
        return ()

    def _transition(self, editor: FlowEditor, batch: Batch, number: int) -> Transition:
        rollout, step = batch.rollout, batch.rollout.steps[number]
        latents, time = rollout.before[number], rollout.times[step]
        times_B = torch.full((len(latents),), time, device=latents.device)
        guided = self._sampling.is_guided(step)
        velocity = editor.velocity(latents, times_B, batch.condition, guided)
        eta, noise = self._sampling.eta, self._sampling.noise
        return transition(latents, velocity, time, rollout.times[step + 1], eta, noise)


def _farthest(log_ratios: Sequence[Tensor]) -> Tensor:
    """The log-ratio farthest from 0 among several per edit, ``[B]``."""
    of_parts = torch.stack(list(log_ratios))
    chosen = of_parts.abs().argmax(dim=0, keepdim=True)
    return of_parts.gather(0, chosen)[0]
