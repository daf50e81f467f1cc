"""The interface between the training loop and an RL algorithm."""

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
    """The editors in an objective."""

    policy: FlowEditor
    reference: FlowEditor
    """The editor before RL."""
    average: Shadow | None
    """Moving average of the policy's weights."""


class Advantages(NamedTuple):
    """Advantages in standard deviations of the edit's group."""

    of_edits_B: Tensor
    counts_B: Tensor
    """Whether an edit contributes: it was judged, and its group has spread."""
    of_places: Tensor | None = None
    """Advantages by position, as a factor of the latents; replaces ``of_edits_B``."""

    def to(self, device: torch.device) -> "Advantages":
        """The same on another device."""
        return Advantages(*(None if part is None else part.to(device) for part in self))

    def rows(self, chosen: slice) -> "Advantages":
        """Those of some of the edits."""
        return Advantages(*(None if part is None else part[chosen] for part in self))


class Batch(NamedTuple):
    """Edits in one forward pass, in sampling and in training."""

    condition: Condition
    """``B`` rows."""
    rollout: Rollout
    kept: Mapping[str, Tensor]
    """The algorithm's own stored tensors, ``[T, B, ...]`` each."""
    seeds: Sequence[int]
    """One per edit, independent of the process that drew it."""
    names: Sequence[str]
    """Description of each edit's prompt, for errors."""
    step: int
    """Training step, counted from 0."""


class Term(NamedTuple):
    """One term of the loss, which is their mean; each has its own backward pass."""

    loss_B: Tensor
    log_ratio_B: Tensor | None
    """Of the policy to the sampling policy, if the objective has one: 0 up to rounding before the
    first update."""
    metrics: dict[str, Tensor]
    """Metrics by name, per edit or for all; reports their means."""


class Algorithm(Protocol):
    """One objective; the loop samples, judges edits, and applies its gradient."""

    keeps_means: bool
    """Whether rollouts keep the means of trained steps, even without map advantages."""
    starts_alike: bool
    """Whether a group's edits share their initial noise; then steps must be stochastic."""

    def plan(self, step: int) -> StepPlan:
        """Stochastic and recorded steps of the rollouts in a training step."""
        ...

    def drawing(self, models: Models) -> AbstractContextManager[None]:
        """Switch to the sampling policy for a ``with`` block."""
        ...

    def remember(self, models: Models, batch: Batch) -> dict[str, Tensor]:
        """Further tensors to store with a batch, before any of its step's updates."""
        ...

    def num_terms(self, batch: Batch) -> int:
        """Number of terms in the loss's mean."""
        ...

    def term(self, models: Models, batch: Batch, advantages: Advantages, number: int) -> Term:
        """One term, with its gradient for the policy's weights."""
        ...

    def finish_step(self, step: int) -> dict[str, float]:
        """Called after the updates of a step, counted from 0; returns metrics."""
        ...

    @property
    def parts(self) -> Sequence[Stateful]:
        """State to keep for resuming, beside the policy's weights."""
        ...


class Part(NamedTuple):
    """A part of an objective whose advantages have one sign."""

    advantage_B: Tensor
    weights: Tensor | None
    """Over the latent's elements, with a mean of 1; None: uniform."""


def parts_of(advantages: Advantages) -> list[Part]:
    """Split advantages into parts for a clipped objective.

    Positive and negative positions of a map become separate parts, because their ratios are clipped
    separately. Within a part, with ``A_p`` 0 elsewhere, the advantage is ``A = mean_p A_p`` and the
    log-ratio the mean over positions of ``(A_p / A) log-ratio_p``, so that to first order the sum
    of the parts is ``mean_p A_p log-ratio_p``. For a constant map this equals the scalar objective
    exactly: its weights are 1, and the other part's advantage is 0.
    """
    if advantages.of_places is None:
        return [Part(advantages.of_edits_B, None)]
    return [_of_sign(advantages.of_places, sign) for sign in (1.0, -1.0)]


def _of_sign(places: Tensor, sign: float) -> Part:
    sizes = (sign * places).clamp(min=0)
    # Dividing by the largest before taking the mean keeps equal numbers exactly equal.
    peak_B = sizes.flatten(1).amax(dim=1)
    shape = (-1, *([1] * (places.dim() - 1)))
    relative = sizes / torch.where(peak_B > 0, peak_B, torch.ones_like(peak_B)).view(shape)
    share_B = mean_of_elements(relative)
    weights = relative / torch.where(share_B > 0, share_B, torch.ones_like(share_B)).view(shape)
    return Part(sign * peak_B * share_B, weights)


def clipped_objective(
    log_ratio_B: Tensor, advantages_B: Tensor, clip_low: float, clip_high: float
) -> Tensor:
    """The quantity to maximise, ``[B]``: the smaller of plain and clipped ratio times advantage.

    Flow-GRPO, arXiv 2505.05470, equations 4 and 5.
    """
    ratio = log_ratio_B.exp()
    clipped = ratio.clamp(1 - clip_low, 1 + clip_high)
    return torch.minimum(ratio * advantages_B, clipped * advantages_B)


def is_outside(
    log_ratio_B: Tensor, advantages_B: Tensor, clip_low: float, clip_high: float
) -> Tensor:
    """1 where a ratio that counts lies outside the clip range, else 0."""
    ratio = log_ratio_B.exp()
    beyond = (ratio < 1 - clip_low) | (ratio > 1 + clip_high)
    return (beyond & (advantages_B != 0)).float()
