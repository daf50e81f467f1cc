"""Draws groups of edits: assigns them to processes and portions, and seeds their noise."""

import itertools
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import torch

from spatialreward.editors.interface import Condition
from spatialreward.editors.sampling import roll_out_from
from spatialreward.edits import Edit, EditTask
from spatialreward.rl.algorithms.interface import Algorithm, Batch, Models
from spatialreward.rl.checks import check_finite
from spatialreward.rl.config import RlConfig
from spatialreward.rl.seeds import Purpose, generator, normal_like, seed_of

# G edits of each prompt


class Prompt(NamedTuple):
    """A task of a step."""

    number: int
    """Index within the step, independent of the process."""
    task: EditTask


class Portion(NamedTuple):
    """Groups drawn together, before their rewards."""

    prompts: tuple[Prompt, ...]
    condition: Condition
    """One row per prompt."""
    batches: tuple[Batch, ...]
    """The edits by forward pass, group by group."""
    edits: tuple[Edit, ...]
    """Of all batches."""


class Update(NamedTuple):
    """One process's work for one update."""

    numbers: tuple[int, ...]
    """Its prompts of the step."""
    num_edits: int
    """Total over all processes."""


def updates_of(config: RlConfig, step: int, rank: int, world_size: int) -> list[Update]:
    """One process's work for the updates of a step.

    Shuffles groups into updates for each step, reproducibly after a kill, and divides each update's
    groups among the processes.
    """
    random = np.random.default_rng((config.seed, Purpose.ORDER, step))
    parts = np.array_split(random.permutation(config.num_prompts), config.updates_per_step)
    return [
        Update(
            tuple(np.array_split(part, world_size)[rank].tolist()), len(part) * config.group_size
        )
        for part in parts
    ]


def divided(prompts: Sequence[Prompt], groups_at_a_time: int) -> Iterator[tuple[Prompt, ...]]:
    """Prompts to draw together: with sources of the same sizes, in limited number."""

    def sizes(prompt: Prompt) -> list[tuple[int, int]]:
        return [source.size for source in prompt.task.sources]

    # A stable sort keeps prompts of one size in order.
    for _, alike in itertools.groupby(sorted(prompts, key=sizes), sizes):
        remaining = iter(alike)
        while some := tuple(itertools.islice(remaining, groups_at_a_time)):
            yield some


@torch.no_grad()
def draw_portion(
    models: Models,
    algorithm: Algorithm,
    prompts: tuple[Prompt, ...],
    config: RlConfig,
    step: int,
) -> Portion:
    """Draw a group of edits for each of some prompts.

    Raises:
        InvalidInputError: the editor does not support a task, or the judge cannot judge it.
        NotFiniteError: latents are NaN or infinite.
    """
    policy, size = models.policy, config.group_size
    # An editor that samples a latent of the source samples the same one on any process.
    with torch.random.fork_rng([policy.device] if policy.device.type == "cuda" else []):
        torch.manual_seed(seed_of(config.seed, Purpose.ENCODE, step, prompts[0].number))
        condition = policy.encode([prompt.task for prompt in prompts])
    batches, edits = [], []
    spans = list(_spans(len(prompts) * size, size, config.edits_at_a_time))
    for first, end in spans:
        batch = _draw_batch(models, algorithm, prompts, condition, config, step, first, end)
        batches.append(batch)
    for (first, end), batch in zip(spans, batches, strict=True):
        finished = batch.rollout.finished
        check_finite(finished, "latents", step, batch.names)
        pictures = policy.decode(finished, batch.condition)
        edits += [
            Edit.of(prompts[number // size].task, picture)
            for number, picture in zip(range(first, end), pictures, strict=True)
        ]
    return Portion(prompts, condition, tuple(batches), tuple(edits))


def describe(prompt: Prompt) -> str:
    """A prompt for error messages."""
    name = f" {prompt.task.id}" if prompt.task.id else ""
    return f"prompt {prompt.number + 1}{name} ({prompt.task.instruction!r})"


def _draw_batch(
    models: Models,
    algorithm: Algorithm,
    prompts: Sequence[Prompt],
    condition: Condition,
    config: RlConfig,
    step: int,
    first: int,
    end: int,
) -> Batch:
    """Edits ``first`` to ``end`` of a portion: whole groups, or a part of one."""
    policy, size = models.policy, config.group_size
    rows = slice(first // size, -(-end // size))
    members = [(prompts[number // size].number, number % size) for number in range(first, end)]
    of_prompts = condition.rows(rows)
    together = (end - first) // len(of_prompts)
    of_edits = of_prompts.repeat(together)
    if algorithm.starts_alike:
        starts = [
            policy.noise(
                condition.rows(slice(row, row + 1)),
                generator(seed_of(config.seed, Purpose.START, step, prompts[row].number)),
            )
            for row in range(rows.start, rows.stop)
        ]
    else:
        starts = [
            policy.noise(
                of_edits.rows(slice(row, row + 1)),
                generator(seed_of(config.seed, Purpose.START, step, *member)),
            )
            for row, member in enumerate(members)
        ]
    generators = [generator(seed_of(config.seed, Purpose.STEPS, step, *one)) for one in members]
    with algorithm.drawing(models):
        rollout = roll_out_from(
            policy,
            of_edits,
            config.sampling,
            torch.cat(starts),
            lambda latents: normal_like(latents, generators),
            plan=algorithm.plan(step),
            group_size=together if algorithm.starts_alike else 1,
            keeps_means=algorithm.keeps_means or config.advantages == "regions",
        )
        seeds = [seed_of(config.seed, Purpose.MATCH, step, *one) for one in members]
        names = [describe(prompts[number // size]) for number in range(first, end)]
        batch = Batch(of_edits, rollout, {}, seeds, names, step)
        return batch._replace(kept=algorithm.remember(models, batch))


def _spans(num_edits: int, group_size: int, at_a_time: int | None) -> Iterator[tuple[int, int]]:
    """Spans of a portion's edits for one forward pass: as many whole groups as fit, or parts."""
    if at_a_time is None:
        yield 0, num_edits
    elif at_a_time >= group_size:
        length = at_a_time // group_size * group_size
        for first in range(0, num_edits, length):
            yield first, min(first + length, num_edits)
    else:
        for group in range(0, num_edits, group_size):
            for first in range(group, group + group_size, at_a_time):
                yield first, min(first + at_a_time, group + group_size)
