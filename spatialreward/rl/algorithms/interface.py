"""What the loop needs of an algorithm of RL, and what it gives to one."""

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from typing import NamedTuple, Protocol

import torch
from torch import Tensor

from spatialreward.editors.config import StepPlan
from spatialreward.editors.interface import Condition, FlowEditor
from spatialreward.editors.sampling import Rollout, mean_of_elements
from spatialreward.rl.weights import Shadow
from spatialreward.training.optimisation import Stateful

# B edits, T terms of the loss


class Models(NamedTuple):
    """The editors that an objective compares."""

    policy: FlowEditor
    reference: FlowEditor
    """The editor that the policy was before RL."""
    average: Shadow | None
    """Moving average of the policy's weights."""


class Advantages(NamedTuple):
    """How much better edits are than their siblings, in standard deviations of their groups."""

    of_edits_B: Tensor
    counts_B: Tensor
    """Whether an edit teaches anything: it was judged, and its group has spread."""
    of_places: Tensor | None = None
    """The same place by place, as a factor of the latents, in place of ``of_edits_B``."""

    def to(self, device: torch.device) -> "Advantages":
        """The same on another device."""
        return Advantages(*(None if part is None else part.to(device) for part in self))

    def rows(self, chosen: slice) -> "Advantages":
        """Those of some of the edits."""
        return Advantages(*(None if part is None else part[chosen] for part in self))


class Batch(NamedTuple):
    """Edits that the policy sees at once, in drawing and in training alike."""

    condition: Condition
    """``B`` rows."""
    rollout: Rollout
    kept: Mapping[str, Tensor]
    """What the algorithm wanted to remember, ``[T, B, ...]`` each."""
    seeds: Sequence[int]
    """One for each edit, whatever process has drawn it."""
    names: Sequence[str]
    """Of the prompt of each edit, for errors."""
    step: int
    """Of the training, counted from 0."""


class Term(NamedTuple):
    """One of the terms whose mean is the loss; each is propagated back by itself."""

    loss_B: Tensor
    log_ratio_B: Tensor | None
    """Of the policy to the one that drew, as far as the objective has one: 0 to rounding before the
    first update."""
    metrics: dict[str, Tensor]
    """Numbers of each edit or of all, whose means are reported by these names."""


class Algorithm(Protocol):
    """One objective; the loop draws, has edits judged, and steps down its gradient."""

    keeps_means: bool
    """Whether a rollout keeps the means of its trained steps, ``advantages`` aside."""
    starts_alike: bool
    """Whether the edits of a group start from the same noise; then steps have to be stochastic."""

    def plan(self, step: int) -> StepPlan:
        """Stochastic and remembered steps of the drawings in a step of the training."""
        ...

    def drawing(self, models: Models) -> AbstractContextManager[None]:
        """Makes the policy the one that draws for the length of a ``with`` block."""
        ...

    def remember(self, models: Models, batch: Batch) -> dict[str, Tensor]:
        """What else is remembered of a batch, before any of its step's updates."""
        ...

    def num_terms(self, batch: Batch) -> int:
        """Number of terms that the loss is the mean of."""
        ...

    def term(self, models: Models, batch: Batch, advantages: Advantages, number: int) -> Term:
        """One term, with its gradient for the policy's weights."""
        ...

    def finish_step(self, step: int) -> dict[str, float]:
        """Called after the updates of a step, counted from 0; returns metrics."""
        ...

    @property
    def parts(self) -> Sequence[Stateful]:
        """What has to be kept to go on later, beside the policy's weights."""
        ...


class Part(NamedTuple):
    """A share of an objective in which all advantages have one sign."""

    advantage_B: Tensor
    weights: Tensor | None
    """Of the latent's elements, with a mean of 1; None: all alike."""


def parts_of(advantages: Advantages) -> list[Part]:
    """Advantages as what a clipped objective can take.

    Of a map, positive and negative places are parts of their own: a ratio that is clipped for the
    one may not be for the other. Of either, with ``A_p`` 0 elsewhere, the part's advantage is ``A =
    mean_p A_p`` and its log-ratio the mean over positions of ``(A_p / A) log-ratio_p``, so that to
    first order the parts together are ``mean_p A_p log-ratio_p``. A map of one number is exactly
    that number's objective: its weights are 1, and the other part's advantage is 0.
    """
    if advantages.of_places is None:
        return [Part(advantages.of_edits_B, None)]
    return [_of_sign(advantages.of_places, sign) for sign in (1.0, -1.0)]


def _of_sign(places: Tensor, sign: float) -> Part:
    sizes = (sign * places).clamp(min=0)
    # Divided by the largest before a mean is taken, equal numbers stay exactly equal.
    peak_B = sizes.flatten(1).amax(dim=1)
    shape = (-1, *([1] * (places.dim() - 1)))
    relative = sizes / torch.where(peak_B > 0, peak_B, torch.ones_like(peak_B)).view(shape)
    share_B = mean_of_elements(relative)
    weights = relative / torch.where(share_B > 0, share_B, torch.ones_like(share_B)).view(shape)
    return Part(sign * peak_B * share_B, weights)


def clipped_objective(
    log_ratio_B: Tensor, advantages_B: Tensor, clip_low: float, clip_high: float
) -> Tensor:
    """What is to be maximised, ``[B]``: the smaller of plain and clipped ratio times advantage.

    Flow-GRPO, arXiv 2505.05470, equations 4 and 5.
    """
    ratio = log_ratio_B.exp()
    clipped = ratio.clamp(1 - clip_low, 1 + clip_high)
    return torch.minimum(ratio * advantages_B, clipped * advantages_B)


def is_outside(
    log_ratio_B: Tensor, advantages_B: Tensor, clip_low: float, clip_high: float
) -> Tensor:
    """1 where a ratio that counts lies beyond the clip range, else 0."""
    ratio = log_ratio_B.exp()
    beyond = (ratio < 1 - clip_low) | (ratio > 1 + clip_high)
    return (beyond & (advantages_B != 0)).float()
