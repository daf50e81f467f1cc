"""Draws edits from a flow-matching editor, deterministically or with the noise that RL needs.

The stochastic steps keep the marginals of the ODE and have a Gaussian transition, whose log-prob
is known (Flow-GRPO, arXiv 2505.05470, section 4.2; DESIGN.md section 5 has the form for time that
runs from noise to data).
"""

import itertools
import math
from typing import NamedTuple

import torch
from torch import Tensor

from spatialreward.editors.config import DenoisingConfig, SamplingConfig
from spatialreward.editors.interface import Condition, FlowEditor
from spatialreward.errors import InvalidInputError

# B edits, T stochastic steps; a latent may have any shape behind its batch


class Transition(NamedTuple):
    """The Gaussian that one stochastic step draws the next latent from."""

    mean: Tensor
    deviation: float


class Rollout(NamedTuple):
    """What RL remembers of some edits: their stochastic steps, and how they came out."""

    before: Tensor
    """Latents ahead of each stochastic step, ``[T, B, ...]``; ``T`` is 0 where there is none."""
    after: Tensor
    """Latents behind it, ``[T, B, ...]``."""
    log_probs_TB: Tensor
    finished: Tensor
    """``[B, ...]``."""


def step_times(num_steps: int, shift: float) -> list[float]:
    """Times of the steps' beginnings and of the end: 0 is noise, 1 is data.

    A shift above 1 crowds the steps near the noise, where it is decided what the edit will be: the
    more pixels say the same, the sooner noise stops hiding it (arXiv 2403.03206, section 5.3.2).
    """
    even = (step / num_steps for step in range(num_steps + 1))
    return [time / (shift - (shift - 1) * time) for time in even]


def times_of(editor: FlowEditor, config: DenoisingConfig, condition: Condition) -> list[float]:
    """The times that an editor's edits are drawn at: those asked for, or else its own."""
    if config.time_shift is not None:
        return step_times(config.num_denoising_steps, config.time_shift)
    return editor.times(config.num_denoising_steps, condition)


def transition(
    latents: Tensor, velocity: Tensor, time: float, next_time: float, eta: float
) -> Transition:
    """Mean and deviation of one step of the SDE; with ``eta`` 0 the step of the ODE."""
    length = next_time - time
    # At time 0 the deviation has a pole; the step's end stands in for its beginning there.
    sigma = eta * math.sqrt((1 - time) / (time if time > 0 else next_time))
    pull = sigma**2 / (2 * (1 - time))
    mean = latents * (1 - pull * length) + velocity * (1 + pull * time) * length
    return Transition(mean, sigma * math.sqrt(length))


def log_prob(step: Transition, following: Tensor) -> Tensor:
    """Log-density of the next latents, averaged over the latent's elements, ``[B]``.

    Raises:
        InvalidInputError: the step is deterministic, which has no density.
    """
    if not step.deviation:
        raise InvalidInputError("a step with eta 0 is deterministic and has no log-prob")
    deviations = (following - step.mean) / step.deviation
    constant = math.log(step.deviation) + 0.5 * math.log(2 * math.pi)
    return (-0.5 * deviations.square() - constant).flatten(1).mean(dim=1)


@torch.no_grad()
def draw_edits(
    editor: FlowEditor, condition: Condition, config: DenoisingConfig, generator: torch.Generator
) -> Tensor:
    """Finished latents ``[B, ...]`` by the ODE; the only chance is in the starting noise."""
    latents = editor.noise(condition, generator)
    times = times_of(editor, config, condition)
    for number, (time, next_time) in enumerate(itertools.pairwise(times)):
        times_B = torch.full((len(latents),), time, device=latents.device)
        velocity = editor.velocity(latents, times_B, condition, config.is_guided(number))
        latents = latents + velocity * (next_time - time)
    return latents


@torch.no_grad()
def roll_out(
    editor: FlowEditor,
    condition: Condition,
    config: SamplingConfig,
    generator: torch.Generator,
    group_size: int = 1,
) -> Rollout:
    """Edits drawn with stochastic first steps, which are remembered, then by the ODE.

    With ``eta`` 0 all steps are the ODE's, to the bit, and none is remembered.

    Each ``group_size`` rows in a row start from the same noise (DanceGRPO, arXiv 2505.07818): what
    tells them apart is then the noise of the steps, which is what the policy is credited with.
    """
    tasks = condition.rows(slice(None, None, group_size))
    latents = editor.noise(tasks, generator).repeat_interleave(group_size, dim=0)
    times = times_of(editor, config, condition)
    before, after, log_probs = [], [], []
    for number, (time, next_time) in enumerate(itertools.pairwise(times)):
        stochastic = number < config.num_stochastic_steps and config.eta > 0
        times_B = torch.full((len(latents),), time, device=latents.device)
        velocity = editor.velocity(latents, times_B, condition, config.is_guided(number))
        step = transition(latents, velocity, time, next_time, config.eta if stochastic else 0.0)
        following = step.mean
        if stochastic:
            noise = torch.randn(latents.shape, generator=generator).to(latents.device)
            following = following + step.deviation * noise
            before.append(latents)
            after.append(following)
            log_probs.append(log_prob(step, following))
        latents = following
    return Rollout(
        torch.stack(before) if before else latents.new_empty(0, *latents.shape),
        torch.stack(after) if after else latents.new_empty(0, *latents.shape),
        torch.stack(log_probs) if log_probs else latents.new_empty(0, len(latents)),
        latents,
    )
