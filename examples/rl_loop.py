"""An RL loop around a judge, as plain as can be, that survives what a judge can fail of.

    python examples/rl_loop.py pixels
    python examples/rl_loop.py models:/spatial-reward@champion --steps 60
    python examples/rl_loop.py triton:127.0.0.1:8001

The editor that learns is as small as editors get: it knows six ways to carry out an instruction,
one of them right (``GRADES``), draws a way for each edit, and learns which ones are rewarded. The
generated world makes the pictures. What a real loop shares with this one is all around it: groups
of edits of one prompt, failures that are masked, a server that is busy, advantages.
"""

import argparse
import logging
import time
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from spatialreward import (
    Edit,
    Judgement,
    Judging,
    ServerBusy,
    ServerUnavailable,
    SpatialRewardError,
    load_judge,
)
from spatialreward.world.config import DataConfig
from spatialreward.world.drawing import draw_sample
from spatialreward.world.rendering import paint, to_image
from spatialreward.world.samples import SceneSample
from spatialreward.world.sampling import GRADES, CannotDrawError, draw_edited_scene

# P prompts, G edits per prompt, W ways to edit

logger = logging.getLogger("rl_loop")
_LEAST_WAIT_S = 1.0


class Settings(NamedTuple):
    """How the loop runs."""

    steps: int = 20
    prompts: int = 4
    group_size: int = 8
    learning_rate: float = 0.5
    patience_s: float = 300.0
    """How long one step waits for a server that is busy or away."""
    max_failed_share: float = 0.5
    """A step of which more fails ends the run: what is left says little about the editor."""
    world: DataConfig = DataConfig(seed=21)


class TooManyFailures(SpatialRewardError, RuntimeError):
    """The judge fails on so many edits that its rewards are no guide."""


def train(judge: Judging, settings: Settings) -> dict[str, float]:
    """Teach the editor; returns how likely it takes each way at the end."""
    rng = np.random.default_rng(0)
    logits_W = np.zeros(len(GRADES))
    for step in range(settings.steps):
        first = step * settings.prompts
        samples = [draw_sample(settings.world, "train", first + n) for n in range(settings.prompts)]
        shape = (settings.prompts, settings.group_size)
        ways_PG = rng.choice(len(GRADES), size=shape, p=softmax(logits_W))
        edits = [
            edit
            for sample, ways_G in zip(samples, ways_PG, strict=True)
            for edit in attempts(sample, ways_G, settings, rng)
        ]
        judgements = ask(judge, edits, settings.patience_s)
        rewards_PG = rewards_of(judgements, settings.max_failed_share).reshape(shape)
        advantages_PG = group_advantages(rewards_PG)
        logits_W += settings.learning_rate * policy_gradient(logits_W, ways_PG, advantages_PG)
        logger.info("step %d: %s", step, metrics(rewards_PG))
    return dict(zip(GRADES, softmax(logits_W).tolist(), strict=True))


def attempts(
    sample: SceneSample, ways_G: NDArray[np.int64], settings: Settings, rng: np.random.Generator
) -> list[Edit]:
    """A group: edits of one source picture, the same object, so that it is sent only once."""
    world, size = sample.world, settings.world.picture_size
    source = sample.images()[0]
    edits = []
    for way in ways_G:
        try:
            scene = draw_edited_scene(rng, world.source, world.operations, GRADES[way])
        except CannotDrawError:
            # Some requests cannot be got wrong in every way; the editor then does nothing.
            scene = world.source
        edited = to_image(paint(scene, world.look, size, size, None))
        edits.append(Edit(source=source, edited=edited, instruction=sample.instruction))
    return edits


def ask(judge: Judging, edits: Sequence[Edit], patience_s: float) -> list[Judgement]:
    """Judge edits, and wait for a server that is busy or away, but not for ever.

    Raises:
        ServingError: patience is over, or it is an error that waiting does not help.
    """
    give_up = time.monotonic() + patience_s
    while True:
        try:
            return judge.judge(edits)
        except (ServerBusy, ServerUnavailable) as error:
            asked_s = error.retry_after_s if isinstance(error, ServerBusy) else 0.0
            wait_s = max(asked_s, _LEAST_WAIT_S)
            if time.monotonic() + wait_s > give_up:
                raise
            logger.warning("waiting %.1f s: %s", wait_s, error)
            time.sleep(wait_s)


def rewards_of(judgements: Sequence[Judgement], max_failed_share: float) -> NDArray[np.float64]:
    """The reward of each edit, NaN where the judgement failed.

    Raises:
        TooManyFailures: more than this share failed; the message has the first reason.
    """
    reasons = [one.reason for one in judgements if one.reward is None]
    for reason in reasons:
        logger.info("no judgement: %s", reason)
    if len(reasons) > max_failed_share * len(judgements):
        raise TooManyFailures(f"{len(reasons)} of {len(judgements)} edits failed: {reasons[0]}")
    return np.array([np.nan if one.reward is None else one.reward for one in judgements])


def group_advantages(rewards_PG: NDArray[np.float64], eps: float = 1e-4) -> NDArray[np.float64]:
    """How much better an edit is than its group, in standard deviations of the group.

    A failed edit (NaN) counts neither in its group's mean nor in the update: its advantage is 0.
    A group with fewer than two rewards has nothing to compare, so all of its advantages are 0.
    """
    judged_PG = np.ma.masked_invalid(rewards_PG)
    mean_P1 = judged_PG.mean(axis=1, keepdims=True)
    std_P1 = judged_PG.std(axis=1, keepdims=True)
    return ((judged_PG - mean_P1) / (std_P1 + eps)).filled(0.0)


def policy_gradient(
    logits_W: NDArray[np.float64], ways_PG: NDArray[np.int64], advantages_PG: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Mean over the edits of advantage times the gradient of the way's log-probability."""
    taken_PGW = np.eye(len(logits_W))[ways_PG]
    return (advantages_PG[..., None] * (taken_PGW - softmax(logits_W))).mean(axis=(0, 1))


def softmax(logits_W: NDArray[np.float64]) -> NDArray[np.float64]:
    """Probabilities of logits."""
    weights_W = np.exp(logits_W - logits_W.max())
    return weights_W / weights_W.sum()


def metrics(rewards_PG: NDArray[np.float64]) -> Mapping[str, float]:
    """Of one step; a mean of nothing is NaN."""
    judged = rewards_PG[np.isfinite(rewards_PG)]
    return {
        "reward/mean": round(float(judged.mean()), 4) if judged.size else float("nan"),
        "reward/failed_share": round(1 - judged.size / rewards_PG.size, 4),
    }


def main() -> None:
    """Parse the arguments, train, and tell what was learnt."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("judge", help="whatever load_judge takes")
    parser.add_argument("--steps", type=int, default=Settings().steps)
    parser.add_argument("--max-failed-share", type=float, default=Settings().max_failed_share)
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    settings = Settings(steps=arguments.steps, max_failed_share=arguments.max_failed_share)
    try:
        with load_judge(arguments.judge) as judge:
            learnt = train(judge, settings)
    except SpatialRewardError as error:
        raise SystemExit(f"error: {error}") from error
    for way, probability in sorted(learnt.items(), key=lambda one: -one[1]):
        logger.info("%5.1f %%  %s", 100 * probability, way)


if __name__ == "__main__":
    main()
