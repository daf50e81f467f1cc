"""Flow-GRPO: draw groups of edits, have them judged, make the better ones more likely."""

import copy
import datetime
import itertools
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from spatialreward.editors.interface import Condition, FlowEditor
from spatialreward.editors.load import load_editor
from spatialreward.editors.sampling import Rollout, log_prob, roll_out, times_of, transition
from spatialreward.edits import EditTask
from spatialreward.judges.interface import Judging
from spatialreward.progress import ReportMetrics, track
from spatialreward.rl.config import FlowGrpoConfig
from spatialreward.rl.objective import clipped_objective, divergence, normalise_by_group
from spatialreward.rl.prompts import PromptSource
from spatialreward.rl.rewards import PinnedReward
from spatialreward.training.optimisation import KeptState

# P prompts, G edits of each, B = P * G edits, T stochastic steps
_KEEP_EVERY = 5


class Draw(NamedTuple):
    """The edits of one step and what they are worth."""

    condition: Condition
    """``B`` rows."""
    rollout: Rollout
    advantages_B: Tensor
    rewards_PG: Tensor
    """NaN where there is no judgement."""
    judging_s: float


def finetune_editor(
    config: FlowGrpoConfig,
    editor: Path,
    out: Path,
    judging: Judging,
    prompts: PromptSource,
    report: ReportMetrics,
    *,
    resume_file: Path | None = None,
) -> list[float]:
    """Train an editor against a judge and write its checkpoint.

    Args:
        config: how much, and how.
        editor: checkpoint to start from; also the reference that it is kept near to.
        out: folder of the new checkpoint.
        judging: gives the rewards; an edit without a judgement is left out of its group. All
            rewards are those of one version of one judge, also after a kill.
        prompts: source pictures and instructions, as many a step as ``config`` says.
        report: gets the metrics of each step.
        resume_file: where the state is kept now and then, to go on after a kill.

    Returns:
        Mean reward of each step.

    Raises:
        RewardError: the judge failed on too many edits of a step.
        JudgeChangedError: another judge answers than the one that the training began with.
        ServingError: a served judge could not be asked.
    """
    policy = load_editor(editor)
    reference = policy.reference()
    optimiser = torch.optim.AdamW(
        policy.trainable().parameters(), lr=config.learning_rate, weight_decay=config.weight_decay
    )
    curve, reward = _Curve(), PinnedReward(judging, config.max_failed_share)
    state = KeptState(resume_file, [policy.trainable(), optimiser, curve, reward])
    first = state.restore()
    steps = track(range(first, config.num_steps), total=config.num_steps - first, description="RL")
    for step in steps:
        start = time.perf_counter()
        draw = draw_and_judge(policy, reward, prompts.batch(step), config, step)
        drawn = time.perf_counter()
        metrics = update(policy, reference, draw, config, optimiser, step)
        curve.rewards.append(float(draw.rewards_PG.nanmean()))
        report(
            _reward_metrics(draw.rewards_PG)
            | metrics
            | {
                "time/rollout_s": drawn - start,
                "time/judging_s": draw.judging_s,
                "time/update_s": time.perf_counter() - drawn,
            },
            step + 1,
        )
        if (step + 1) % _KEEP_EVERY == 0:
            state.keep(step + 1)
    card = {
        "kind": "flow-matching editor, fine-tuned by Flow-GRPO on a judge's rewards",
        "reward_of": judging.notice or "a judge without a notice",
        "judged_by": reward.judged_by,
        "training": config.model_dump(),
        "made": datetime.datetime.now(datetime.UTC).date().isoformat(),
    }
    policy.save(out, card)
    return curve.rewards


def draw_and_judge(
    policy: FlowEditor,
    reward: PinnedReward,
    tasks: Sequence[EditTask],
    config: FlowGrpoConfig,
    step: int,
) -> Draw:
    """A group of edits of each task, with their advantages.

    Raises:
        RewardError, JudgeChangedError, ServingError: as ``PinnedReward.score``.
    """
    condition = policy.encode(tasks).repeat(config.group_size)
    generator = torch.Generator().manual_seed(config.seed * 1_000_003 + step)
    rollout = roll_out(policy, condition, config.sampling, generator, config.group_size)
    edited = policy.decode(rollout.finished, condition)
    asked = [task for task in tasks for _ in range(config.group_size)]
    start = time.perf_counter()
    rewards_B = reward.score(asked, edited)
    judging_s = time.perf_counter() - start
    rewards_PG = rewards_B.view(len(tasks), config.group_size)
    advantages_PG = normalise_by_group(rewards_PG, config.max_advantage)
    return Draw(condition, rollout, advantages_PG.flatten(), rewards_PG, judging_s)


def update(
    policy: FlowEditor,
    reference: FlowEditor,
    draw: Draw,
    config: FlowGrpoConfig,
    optimiser: torch.optim.Optimizer,
    step: int,
) -> dict[str, float]:
    """Several optimiser steps on the edits of one draw; returns metrics."""
    parts = minibatches(len(draw.advantages_B), config, step)
    gathered: list[dict[str, float]] = []
    for rows in parts:
        for number in range(len(draw.rollout.before)):
            loss, metrics = _loss(policy, reference, draw, rows, number, config)
            (loss / len(draw.rollout.before)).backward()
            gathered.append(metrics)
        norm = torch.nn.utils.clip_grad_norm_(
            policy.trainable().parameters(), config.max_gradient_norm
        )
        gathered[-1]["policy/gradient_norm"] = float(norm)
        optimiser.step()
        optimiser.zero_grad()
    names = dict.fromkeys(itertools.chain.from_iterable(gathered))
    return {name: float(np.mean([one[name] for one in gathered if name in one])) for name in names}


def minibatches(num_edits: int, config: FlowGrpoConfig, step: int) -> tuple[Tensor, ...]:
    """The edits of each update, as their numbers: shuffled for each step, the same after a kill."""
    order = np.random.default_rng((config.seed, step)).permutation(num_edits)
    return torch.from_numpy(order).chunk(config.updates_per_step)


def _loss(
    policy: FlowEditor,
    reference: FlowEditor,
    draw: Draw,
    rows: Tensor,
    number: int,
    config: FlowGrpoConfig,
) -> tuple[Tensor, dict[str, float]]:
    """Loss of stochastic step ``number`` of some of the edits."""
    times = times_of(policy, config.sampling, draw.condition)
    time, next_time = times[number], times[number + 1]
    latents = draw.rollout.before[number, rows]
    times_B = torch.full((len(rows),), time, device=latents.device)
    guided = config.sampling.is_guided(number)
    condition = draw.condition.rows(rows)
    span = (time, next_time, config.sampling.eta)
    step = transition(latents, policy.velocity(latents, times_B, condition, guided), *span)
    with torch.no_grad():
        anchor = transition(latents, reference.velocity(latents, times_B, condition, guided), *span)
    old_B = draw.rollout.log_probs_TB[number, rows]
    new_B = log_prob(step, draw.rollout.after[number, rows])
    advantages_B = draw.advantages_B[rows]
    gain = clipped_objective(new_B, old_B, advantages_B, config.clip_range).mean()
    kl = divergence(step, anchor).mean()
    clipped = ((new_B - old_B).exp() - 1).abs() > config.clip_range
    metrics = {
        "policy/kl": kl.item(),
        "policy/clipped_share": clipped.float().mean().item(),
    }
    return config.kl_weight * kl - gain, metrics


def _reward_metrics(rewards_PG: Tensor) -> dict[str, float]:
    judged = rewards_PG.isfinite()
    within = [group[group.isfinite()].std(correction=0) for group in rewards_PG]
    return {
        "reward/mean": float(rewards_PG.nanmean()),
        "reward/std_within_group": float(torch.stack(within).nanmean()),
        "reward/failed_share": float(1 - judged.float().mean()),
        "reward/num_judged": float(judged.sum()),
    }


class _Curve:
    """The rewards so far, as a part of the kept state."""

    def __init__(self) -> None:
        self.rewards: list[float] = []

    def state_dict(self) -> dict[str, list[float]]:
        return {"rewards": copy.copy(self.rewards)}

    def load_state_dict(self, state_dict: dict[str, list[float]], /) -> None:
        self.rewards = list(state_dict["rewards"])
