"""Samples edits from a flow-matching editor, deterministically or with the noise that RL needs.

Stochastic steps have a Gaussian transition with a known log-prob (Flow-GRPO, arXiv 2505.05470,
section 4.2; DESIGN.md section 5 has the form for time that runs from noise to data; the noise of
DanceGRPO, arXiv 2505.07818, is the same with a constant in place of its sigma). The arithmetic
of a step uses float32 or better; latents keep the dtype of the editor's initial ones.
"""

import itertools
import math
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from spatialreward.editors.config import DenoisingConfig, Noise, SamplingConfig, StepPlan
from spatialreward.editors.interface import Condition, FlowEditor
from spatialreward.errors import InvalidInputError

# B edits, T trained steps; a latent may have any shape after its batch

Draw = Callable[[Tensor], Tensor]
"""Standard normal numbers in the shape of given latents, on the CPU."""


class Transition(NamedTuple):
    """The Gaussian from which a stochastic step draws the next latent."""

    mean: Tensor
    deviation: float
    sigma: float
    """Unit for distances of means: the deviation itself for ``cps``, else the noise per square root
    of time, which does not depend on the step's length."""
    noise: Noise = "sde"


class Rollout(NamedTuple):
    """Recorded samples for RL: the trained steps of some edits, and their final latents."""

    before: Tensor
    """Latents before each trained step, ``[T, B, ...]``; ``T`` is 0 if there is none."""
    after: Tensor
    """Latents after it, ``[T, B, ...]``."""
    log_probs_TB: Tensor
    finished: Tensor
    """``[B, ...]``."""
    steps: tuple[int, ...] = ()
    """Numbers of the trained steps."""
    times: tuple[float, ...] = ()
    """Start times of all steps, and the end."""
    means: Tensor | None = None
    """Means under the sampling policy, ``[T, B, ...]`` in float32 or better; None: not kept."""


def step_times(num_steps: int, shift: float) -> list[float]:
    """Start times of the steps, and the end: 0 is noise, 1 is data.

    A shift above 1 moves steps near the noise, where the edit's content is decided: the more
    pixels, the sooner noise stops hiding it (arXiv 2403.03206, section 5.3.2).
    """
    even = (step / num_steps for step in range(num_steps + 1))
    return [time / (shift - (shift - 1) * time) for time in even]


def times_of(editor: FlowEditor, config: DenoisingConfig, condition: Condition) -> list[float]:
    """The times of an editor's steps: the configured ones, or its own."""
    if config.time_shift is not None:
        return step_times(config.num_denoising_steps, config.time_shift)
    return editor.times(config.num_denoising_steps, condition)


def transition(
    latents: Tensor,
    velocity: Tensor,
    time: float,
    next_time: float,
    eta: float,
    noise: Noise = "sde",
) -> Transition:
    """Mean and deviation of one stochastic step; with ``eta`` 0 the step of the ODE.

    With noise of ``sigma`` per square root of time the mean is drawn along the score by ``sigma^2 /
    2`` per time, where ``score = -(x - t v) / (1 - t)``, so that the marginals stay the ODE's.
    ``cps`` mixes the next latent from the data and the noise implied by the velocity,
    with the ODE's share of data, ``t'``; of the share of noise, ``1 - t'``, ``sin(eta pi / 2)`` is
    fresh (Flow-CPS, arXiv 2509.05952).
    """
    latents, velocity = _precise(latents), _precise(velocity)
    length = next_time - time
    if not eta:
        return Transition(latents + velocity * length, 0.0, 0.0, noise)
    deviation, sigma = deviation_of(time, next_time, eta, noise)
    if noise == "cps":
        kept = math.sqrt((1 - next_time) ** 2 - deviation**2)
        mean = (latents + velocity * (1 - time)) * next_time + (latents - velocity * time) * kept
    else:
        pull = sigma**2 / (2 * (1 - time))
        mean = latents * (1 - pull * length) + velocity * (1 + pull * time) * length
    return Transition(mean, deviation, sigma, noise)


def deviation_of(time: float, next_time: float, eta: float, noise: Noise) -> tuple[float, float]:
    """Deviation and sigma of a stochastic step, for its ``Transition``."""
    if noise == "cps":
        fresh = (1 - next_time) * math.sin(eta * math.pi / 2)
        return fresh, fresh
    sigma = eta
    if noise == "sde":
        # At time 0 the deviation has a pole; use the step's end there.
        sigma *= math.sqrt((1 - time) / (time if time > 0 else next_time))
    return sigma * math.sqrt(next_time - time), sigma


def log_probs_by_element(step: Transition, following: Tensor) -> Tensor:
    """Log-density of each element of the next latents; of their shape.

    ``cps`` uses the negative squared distance from the mean instead, without scale or constants
    (Flow-CPS, arXiv 2509.05952).

    Raises:
        InvalidInputError: the step is deterministic, which has no density.
    """
    if not step.deviation:
        raise InvalidInputError("a step with eta 0 is deterministic and has no log-prob")
    distance = _precise(following) - step.mean
    if step.noise == "cps":
        return -distance.square()
    constant = math.log(step.deviation) + 0.5 * math.log(2 * math.pi)
    return -0.5 * (distance / step.deviation).square() - constant


def log_prob(step: Transition, following: Tensor) -> Tensor:
    """Log-density of the next latents, averaged over the latent's elements, ``[B]``.

    Raises:
        InvalidInputError: the step is deterministic, which has no density.
    """
    return mean_of_elements(log_probs_by_element(step, following))


def mean_of_elements(values: Tensor, weights: Tensor | None = None) -> Tensor:
    """Mean over all but the first dimension, ``[B]``, weighted by element if given."""
    return (values if weights is None else values * weights).flatten(1).mean(dim=1)


@torch.no_grad()
def draw_edits(
    editor: FlowEditor, condition: Condition, config: DenoisingConfig, generator: torch.Generator
) -> Tensor:
    """Finished latents ``[B, ...]`` by the ODE; only the initial noise is random."""
    latents = editor.noise(condition, generator)
    times = times_of(editor, config, condition)
    for number, (time, next_time) in enumerate(itertools.pairwise(times)):
        velocity = _velocity(editor, latents, time, condition, config.is_guided(number))
        step = transition(latents, velocity, time, next_time, eta=0.0)
        latents = step.mean.to(latents.dtype)
    return latents


def roll_out(
    editor: FlowEditor,
    condition: Condition,
    config: SamplingConfig,
    generator: torch.Generator,
    group_size: int = 1,
) -> Rollout:
    """Edits sampled with stochastic steps, which are recorded, all noise from one generator.

    With ``eta`` 0 all steps equal the ODE's, bit for bit, and none is recorded.

    Each ``group_size`` consecutive rows share their initial noise (DanceGRPO, arXiv 2505.07818):
    they differ only by the noise of the steps, for which the policy gets the credit.
    """
    start = editor.noise(condition.rows(slice(None, None, group_size)), generator)

    def draw(latents: Tensor) -> Tensor:
        return torch.randn(latents.shape, generator=generator)

    return roll_out_from(
        editor, condition, config, start, draw, plan=config.plan(), group_size=group_size
    )


@torch.no_grad()
def roll_out_from(
    editor: FlowEditor,
    condition: Condition,
    config: SamplingConfig,
    start: Tensor,
    draw: Draw,
    *,
    plan: StepPlan,
    group_size: int = 1,
    keeps_means: bool = False,
) -> Rollout:
    """Edits sampled from given initial noise, with some stochastic steps.

    Args:
        editor: samples.
        condition: ``B`` rows.
        config: the steps.
        start: ``[B / group_size, ...]``; as many consecutive rows share each. Until the first
            stochastic step these rows are identical and computed once.
        draw: returns the noise of a stochastic step.
        plan: the stochastic and the trained steps.
        group_size: rows for each of ``start``.
        keeps_means: whether to record the means of trained steps.
    """
    latents, rows = start, condition.rows(slice(None, None, group_size))
    is_shared = group_size > 1
    times = times_of(editor, config, condition)
    before, after, log_probs, means = [], [], [], []
    for number, (time, next_time) in enumerate(itertools.pairwise(times)):
        stochastic = number in plan.stochastic
        if stochastic and is_shared:
            latents, rows, is_shared = latents.repeat_interleave(group_size, 0), condition, False
        velocity = _velocity(editor, latents, time, rows, config.is_guided(number))
        eta = config.eta if stochastic else 0.0
        step = transition(latents, velocity, time, next_time, eta, config.noise)
        following = step.mean
        if step.deviation:
            following = following + step.deviation * draw(latents).to(following)
        # Compute the log-prob from the tensor that the update will read.
        following = following.to(latents.dtype)
        if number in plan.trained:
            before.append(latents)
            after.append(following)
            log_probs.append(log_prob(step, following))
            if keeps_means:
                means.append(step.mean)
        latents = following
    if is_shared:
        latents = latents.repeat_interleave(group_size, 0)
    return Rollout(
        _stacked(before, latents),
        _stacked(after, latents),
        torch.stack(log_probs) if log_probs else _precise(latents.new_empty(0, len(latents))),
        latents,
        plan.trained,
        tuple(times),
        _stacked(means, latents) if keeps_means else None,
    )


def _velocity(
    editor: FlowEditor, latents: Tensor, time: float, condition: Condition, guided: bool
) -> Tensor:
    times_B = torch.full((len(latents),), time, device=latents.device)
    return editor.velocity(latents, times_B, condition, guided)


def _stacked(tensors: list[Tensor], like: Tensor) -> Tensor:
    return torch.stack(tensors) if tensors else like.new_empty(0, *like.shape)


def _precise(tensor: Tensor) -> Tensor:
    return tensor.to(torch.promote_types(tensor.dtype, torch.float32))
