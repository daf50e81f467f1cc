"""The watch on reward hacking: measures a policy's edits beyond the training's rewards.

At each look it draws groups of edits of held-out prompts, always from the same initial noise and by
the ODE, and compares three things with the first look, at the initial editor: the training's own
reward, that of judges outside the training, and statistics of the pictures.
"""

import logging
import math
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

from spatialreward.data.edits import Extent, SpatialPrior
from spatialreward.data.regions.proposal import propose
from spatialreward.editors.config import DenoisingConfig
from spatialreward.editors.interface import FlowEditor
from spatialreward.edits import Edit, EditTask
from spatialreward.errors import InvalidInputError
from spatialreward.judges.interface import ClosedAtEnd, Judging
from spatialreward.judges.load import ORACLE, load_judge
from spatialreward.records import Judgement
from spatialreward.rl.config import RlConfig
from spatialreward.rl.picture_statistics import diversity, grid_strength, sharpness
from spatialreward.rl.plain_edits import draw_of_task
from spatialreward.rl.rewards import Rewards, total
from spatialreward.rl.types import Reward, Scored, Verdict
from spatialreward.rl.watch_config import WatchConfig
from spatialreward.training.processes import ALONE, Processes
from spatialreward.visuals import SheetRow, sample_sheet

logger = logging.getLogger(__name__)

ShowPicture = Callable[[Image.Image, str], None]
"""Callback: (sheet, name), such as ``watch/step-00020.png``."""


class Look(NamedTuple):
    """The values that decide whether a training continues; NaN without such a judge."""

    step: int
    training: float
    held_out: float


class DrawsAlong:
    """The watch of processes beside the first, for a sharded base.

    It draws the same edits, because each pass needs all processes, and opens no judge.
    """

    def __init__(
        self, config: WatchConfig, tasks: Sequence[EditTask], denoising: DenoisingConfig
    ) -> None:
        """Draw as a ``HackingWatch`` with the same arguments."""
        self._config = config
        self._tasks = list(tasks)
        self._denoising = config.denoising or denoising

    def __call__(self, step: int, policy: FlowEditor) -> Verdict:
        """Draw; the verdict comes from the first process."""
        for task in self._tasks:
            draw_of_task(policy, task, self._config.group_size, self._denoising, self._config.seed)
        return Verdict({}, None, is_best=False)

    def state_dict(self) -> dict[str, Any]:
        """Empty; the first process's counts."""
        return {}

    def load_state_dict(self, state_dict: dict[str, Any], /) -> None:
        """Nothing to load."""


class HackingWatch(ClosedAtEnd):
    """Evaluates a policy periodically; a ``types.Watch``.

    Metrics, all under ``watch/``: ``training_reward`` (weighted sum), ``held_out_reward`` (weighted
    sum) and ``held_out/NAME``, ``oracle_reward``; ``no_edit_share`` and ``over_edit_share`` by
    pixels (``data.regions``), mean ``changed_share`` of the picture, ``diversity`` within groups,
    ``sharpness`` and ``grid`` (``picture_statistics``), each with that of the first look as
    ``base_NAME``; ``seconds``.
    """

    def __init__(
        self,
        config: WatchConfig,
        tasks: Sequence[EditTask],
        denoising: DenoisingConfig,
        training: Reward,
        held_out: Reward | None = None,
        oracle: Judging | None = None,
        show: ShowPicture | None = None,
    ) -> None:
        """Configure; draws nothing yet.

        Args:
            config: interval, size, and when to stop.
            tasks: held-out prompts, at least one.
            denoising: the steps of sampling, unless ``config`` says.
            training: the training's rewards; they stay open.
            held_out: rewards outside the training; None: the oracle decides, or, without one,
                nothing stops the training, and its own reward selects the best checkpoint.
            oracle: also judges the tasks whose truth it knows.
            show: receives a sheet of edits per look.

        Raises:
            InvalidInputError: there are no tasks.
        """
        if not tasks:
            raise InvalidInputError("watch: expected held-out prompts, got none")
        self._config = config
        self._tasks = list(tasks)
        self._denoising = config.denoising or denoising
        self._training = training
        self._held_out = held_out
        self._oracle = oracle
        self._show = show
        self._looks: list[Look] = []
        self._base: dict[str, float] = {}
        self._base_shares: list[float] = []
        self._base_globals: list[bool] = []

    def __call__(self, step: int, policy: FlowEditor) -> Verdict:
        """Draw, judge and compare.

        The first look, normally at step 0, is the baseline of the others.

        Raises:
            RewardError, JudgeChangedError, ServingError: as ``Rewards.score``.
        """
        start = time.perf_counter()
        groups = [self._draw(policy, task) for task in self._tasks]
        edits = [edit for group in groups for edit in group]
        trained = self._training.score(edits)
        held_out = self._held_out.score(edits) if self._held_out else None
        known = self._oracle.judge(edits) if self._oracle else None
        look, metrics = self._rewards(step, trained, held_out, known)
        metrics |= self._statistics(groups)
        is_best = self._is_best(look)
        self._looks.append(look)
        if self._show is not None and self._config.num_sheet_rows:
            self._draw_sheet(step, edits, (held_out or trained).judgements, known)
        metrics["seconds"] = time.perf_counter() - start
        named = {f"watch/{name}": value for name, value in metrics.items() if math.isfinite(value)}
        return Verdict(named, self._why_stop(), is_best)

    def close(self) -> None:
        """Close the judges of the watch."""
        if isinstance(self._held_out, ClosedAtEnd):
            self._held_out.close()
        if self._oracle is not None:
            self._oracle.close()

    def state_dict(self) -> dict[str, Any]:
        """The looks so far, the first one's baseline, and the pinned judges."""
        return {
            "looks": [list(look) for look in self._looks],
            "base": dict(self._base),
            "base_shares": list(self._base_shares),
            "base_globals": list(self._base_globals),
            "held_out": self._held_out.state_dict() if self._held_out else None,
        }

    def load_state_dict(self, state_dict: dict[str, Any], /) -> None:
        """Continue from these looks."""
        self._looks = [Look(*look) for look in state_dict["looks"]]
        self._base = dict(state_dict["base"])
        self._base_shares = list(state_dict["base_shares"])
        self._base_globals = list(state_dict["base_globals"])
        if self._held_out and state_dict["held_out"] is not None:
            self._held_out.load_state_dict(state_dict["held_out"])

    def _draw(self, policy: FlowEditor, task: EditTask) -> list[Edit]:
        config = self._config
        drawn = draw_of_task(policy, task, config.group_size, self._denoising, config.seed)
        return [Edit.of(task, picture) for picture in drawn]

    def _rewards(
        self,
        step: int,
        trained: Scored,
        held_out: Scored | None,
        known: Sequence[Judgement] | None,
    ) -> tuple[Look, dict[str, float]]:
        metrics = {"training_reward": _mean_total(trained, self._training.weights)}
        deciding = math.nan
        if known is not None:
            rewards = [one.reward for one in known if one.reward is not None]
            deciding = float(np.mean(rewards)) if rewards else math.nan
            metrics["oracle_reward"] = deciding
        if held_out is not None:
            deciding = _mean_total(held_out, self._held_out.weights)
            metrics["held_out_reward"] = deciding
            for name, of_B in held_out.rewards.items():
                metrics[f"held_out/{name}"] = float(of_B.nanmean())
        return Look(step, metrics["training_reward"], deciding), metrics

    def _statistics(self, groups: Sequence[Sequence[Edit]]) -> dict[str, float]:
        """Figures of the pictures, each with that of the first look."""
        edits = [edit for group in groups for edit in group]
        priors = [propose(edit.source, edit.edited) for edit in edits]
        if not self._base:
            size = self._config.group_size
            by_task = [priors[first : first + size] for first in range(0, len(priors), size)]
            self._base_shares = [max(one.changed_share for one in group) for group in by_task]
            self._base_globals = [any(map(_is_global, group)) for group in by_task]
        pictures = [edit.edited for edit in edits]
        figures = {
            "no_edit_share": _mean(one.extent is Extent.NOTHING for one in priors),
            "over_edit_share": _mean(map(self._is_over_edit, range(len(priors)), priors)),
            "changed_share": _mean(one.changed_share for one in priors),
            "diversity": _mean(diversity([edit.edited for edit in group]) for group in groups),
            "sharpness": _mean(map(sharpness, pictures)),
            "grid": _mean(grid_strength(one, self._config.grid_periods) for one in pictures),
        }
        self._base = self._base or figures
        return figures | {f"base_{name}": value for name, value in self._base.items()}

    def _is_over_edit(self, number: int, prior: SpatialPrior) -> bool:
        task = number // self._config.group_size
        if _is_global(prior):
            return not self._base_globals[task]
        return prior.changed_share > self._base_shares[task] + self._config.over_edit_margin

    def _is_best(self, look: Look) -> bool:
        has_other = self._held_out is not None or self._oracle is not None
        earlier = [one.held_out if has_other else one.training for one in self._looks]
        value = look.held_out if has_other else look.training
        return math.isfinite(value) and all(value > one for one in earlier if math.isfinite(one))

    def _why_stop(self) -> str | None:
        why = why_hacked(self._looks, self._config)
        if why is not None and not self._config.stops:
            logger.warning("watch: %s; the training continues, because watch.stops is false", why)
            return None
        return why

    def _draw_sheet(
        self,
        step: int,
        edits: Sequence[Edit],
        judgements: Sequence[Judgement] | None,
        known: Sequence[Judgement] | None,
    ) -> None:
        shown = judgements or known
        if shown is None:
            return
        size = self._config.group_size
        numbers = range(0, min(self._config.num_sheet_rows * size, len(edits)), size)
        rows = [
            SheetRow(
                edits[number].source,
                edits[number].edited,
                edits[number].instruction,
                shown[number],
                known[number] if known is not None else None,
            )
            for number in numbers
        ]
        self._show(sample_sheet(rows), f"watch/step-{step:05}.png")


@contextmanager
def watching(
    config: RlConfig,
    tasks: Sequence[EditTask],
    training: Reward,
    of_run: Judging | None = None,
    show: ShowPicture | None = None,
    processes: Processes = ALONE,
) -> Iterator[HackingWatch | DrawsAlong | None]:
    """A watch with the configured judges, for a ``with`` block.

    Only the first process watches and opens these judges.

    Args:
        config: of the training. Its ``evaluation_rewards`` are the held-out judges; the oracle is
            added if tasks have a truth and it is not among them.
        tasks: held-out prompts; without any there is no watch.
        training: the training's rewards.
        of_run: the judge of evaluation rewards that name none.
        show: receives a sheet per look.
        processes: this process among all of them.

    Raises:
        InvalidInputError, HubError, MissingPackageError, TrackingError, StorageError: as
            ``Rewards``.
    """
    if not tasks:
        yield None
        return
    if not processes.is_first:
        yield DrawsAlong(config.watch, tasks, config.sampling) if config.divides_base else None
        return
    asked = config.evaluation_rewards
    is_asked = any(one.judge.partition(":")[0] == ORACLE for one in asked)
    knows = not is_asked and any(task.truth is not None for task in tasks)
    if not asked and not knows:
        logger.warning(
            "watch: no evaluation_rewards and no truth: no held-out judge, so nothing but the "
            "training's own reward says which checkpoint is best"
        )
    held_out = Rewards(asked, config, of_run) if asked else None
    oracle = load_judge(ORACLE) if knows else None
    with HackingWatch(
        config.watch, tasks, config.sampling, training, held_out, oracle, show
    ) as watch:
        yield watch


def why_hacked(looks: Sequence[Look], config: WatchConfig) -> str | None:
    """Why to stop: within the window the training's reward rises and the held-out one falls."""
    recent = looks[-config.window :]
    if len(recent) < config.window:
        return None
    rise, fall = (
        fitted_change([getattr(one, name) for one in recent]) for name in Look._fields[1:]
    )
    # Comparisons with NaN are false.
    if not (rise >= config.min_change and fall <= -config.min_change):
        return None
    return (
        f"on held-out prompts the training's reward has risen by {rise:.3f} from step "
        f"{recent[0].step} to step {recent[-1].step}, and the held-out judge's has fallen by "
        f"{-fall:.3f}: the policy games its judge"
    )


def fitted_change(values: Sequence[float]) -> float:
    """Change along the least-squares line through evenly spaced values, from first to last."""
    line = np.polyfit(np.arange(len(values)), values, 1) if np.isfinite(values).all() else [np.nan]
    return float(line[0] * (len(values) - 1))


def _is_global(prior: SpatialPrior) -> bool:
    return prior.extent is Extent.GLOBAL


def _mean_total(scored: Scored, weights: Mapping[str, float]) -> float:
    return float(total(scored, weights).nanmean())


def _mean(values: Iterable[float]) -> float:
    return float(np.mean(list(values)))
