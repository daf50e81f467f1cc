"""The loop of every algorithm: draw groups of edits, judge them, and update the policy.

A step's groups are drawn in portions. While one is judged the next is drawn, and while the last
ones are judged the first are trained on: an update accumulates gradients over its portions, so its
result does not depend on when rewards arrive. Updates start only once all rewards of the step are
there; a failing judge leaves the weights as they were before the step.
"""

import logging
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import NamedTuple

import torch

from spatialreward.editors.interface import FlowEditor
from spatialreward.errors import InvalidInputError
from spatialreward.progress import ReportMetrics, track
from spatialreward.rl.advantages import Comparison
from spatialreward.rl.algorithms.interface import Advantages, Batch, Models, Term
from spatialreward.rl.algorithms.load import load_algorithm
from spatialreward.rl.checks import allowed_log_ratio, check_finite, check_ratio
from spatialreward.rl.config import RlConfig
from spatialreward.rl.meters import Meters
from spatialreward.rl.model_card import History
from spatialreward.rl.outcome import Outcome, Unwatched
from spatialreward.rl.portions import Portion, Prompt, Update, divided, draw_portion, updates_of
from spatialreward.rl.prompts import PromptSource
from spatialreward.rl.regions import region_maps
from spatialreward.rl.scoring import Scorer, Timed
from spatialreward.rl.sharding import divide_base
from spatialreward.rl.telling import describe
from spatialreward.rl.together import fail_together, failing_together, share_weights
from spatialreward.rl.types import Reward, Scored, Verdict, Watch
from spatialreward.rl.updating import updates_with
from spatialreward.rl.weights import MovingAverage, TrainedWeights
from spatialreward.training.optimisation import KeptState
from spatialreward.training.processes import ALONE, Processes

logger = logging.getLogger(__name__)

# P prompts, G edits of each, B = P * G edits


class Pending(NamedTuple):
    """Drawn groups whose rewards are pending."""

    portion: Portion
    timed: Future[Timed]


class Trainer:
    """Trains one editor; see ``rl.training.finetune_editor`` for its inputs."""

    def __init__(
        self,
        config: RlConfig,
        policy: FlowEditor,
        reward: Reward,
        prompts: PromptSource,
        *,
        resume_file: Path | None = None,
        watch: Watch | None = None,
        processes: Processes = ALONE,
    ) -> None:
        """Start, or resume from ``resume_file``.

        Raises:
            InvalidInputError: the editor has no weights to train, or none to partition, there are
                more processes than prompts, or the saved state cannot be read or belongs to another
                editor, another step than that of another process or, with a sharded optimiser,
                another number of processes.
        """
        if config.num_prompts < processes.world_size:
            raise InvalidInputError(
                f"num_prompts: expected one at least for each of {processes.world_size} processes, "
                f"got {config.num_prompts}"
            )
        try:
            config.check_divides(processes.world_size)
        except ValueError as error:
            raise InvalidInputError(str(error)) from error
        self._config = config
        self._reward = reward
        self._prompts = prompts
        self._watch = watch
        self._processes = processes
        self._is_watched = processes.from_first(watch is not None)
        self.weights = TrainedWeights(policy.trainable())
        share_weights(self.weights.all, processes)
        if config.divides_base and processes.world_size > 1:
            divide_base(policy.trainable(), self.weights.all, config.sharding)
        decay = config.ema_decay
        average = MovingAverage(self.weights, decay) if decay is not None else None
        self._models = Models(policy, policy.reference(), average)
        self._algorithm = load_algorithm(config, self.weights)
        self._updates = updates_with(config, self.weights.all, processes)
        self._comparison = Comparison(
            reward.weights, config.combine, config.max_advantage, config.min_spread
        )
        self._allowed = allowed_log_ratio(policy.trainable())
        self._is_on_policy = True
        self._has_told_of_regions = False
        self.history = History()
        self.outcome = Outcome(self.weights)
        parts = [self.weights, self._updates, self.history, self.outcome, reward]
        parts += [*self._algorithm.parts, *([average] if average else [])]
        if self._is_watched:
            parts.append(watch if processes.is_first else Unwatched())
        self._state = KeptState(resume_file, parts, processes)
        self._first = self._state.restore()

    def run(self, report: ReportMetrics) -> None:
        """Train to the end, or until the watch stops it.

        Args:
            report: receives the metrics of each step, in the first process.

        Raises:
            RewardError, JudgeChangedError, ServingError: as the reward; keeps the state.
            NotFiniteError, RatioError: as ``rl.checks``; keeps the state.
            ProcessesError: another process failed.
        """
        if self._is_due(self._first):
            self._look_and_report(self.history.of(self._first), self._first, report)
        remaining = range(self._first, self._config.num_steps)
        if self.outcome.stopped_after is not None:
            remaining = range(0)
        with Scorer(self._reward, in_background=self._config.scores_in_background) as scorer:
            for step in track(remaining, total=len(remaining), description="RL"):
                try:
                    metrics = self._step(step, scorer)
                except Exception:
                    # Weights after only some of a step's updates belong to no step, so they are not
                    # kept.
                    if self._is_on_policy:
                        self._state.keep(step)
                    raise
                done = step + 1
                self._look_and_report(metrics, done, report)
                stops = self.outcome.stopped_after is not None
                if stops or done % self._config.save_every == 0:
                    self._state.keep(done)
                if stops:
                    logger.warning("stopped after step %d: %s", done, self.outcome.stopped_because)
                    return

    @contextmanager
    def averaged(self) -> Iterator[FlowEditor]:
        """The policy with averaged weights, for a ``with`` block."""
        average = self._models.average
        with average.in_place() if average is not None else nullcontext():
            yield self._models.policy

    @contextmanager
    def finished(self) -> Iterator[FlowEditor]:
        """The policy to write: the watch's best, or the average."""
        if self.outcome.best_step is None:
            with self.averaged() as policy:
                yield policy
        else:
            self.outcome.restore_best()
            yield self._models.policy

    def _step(self, step: int, scorer: Scorer) -> dict[str, float]:
        start, meters = time.perf_counter(), Meters()
        rank, world_size = self._processes.rank, self._processes.world_size
        updates = updates_of(self._config, step, rank, world_size)
        self._is_on_policy = True
        pending: list[list[Pending]] = []
        for number, update in enumerate(updates):
            error: Exception | None = None
            try:
                if number == 0:
                    pending = self._draw(step, updates, scorer, meters)
                begin = time.perf_counter()
                waited = self._accumulate(pending[number], update, step, meters)
                if number == 0:
                    waited += _wait_for(pending)
            except Exception as caught:
                error = caught
            fail_together(error, self._processes)
            self._update(step, meters)
            meters.total("time/waiting_s", waited / world_size)
            meters.total("time/update_s", (time.perf_counter() - begin - waited) / world_size)
        self._describe(pending, meters)
        meters.means(self._algorithm.finish_step(step))
        # Each process knows its own judge; from here on all require the first one's.
        if world_size > 1:
            self._reward.load_state_dict(self._processes.from_first(self._reward.state_dict()))
        meters.mean("time/step_s", time.perf_counter() - start)
        metrics = meters.gathered(self._processes)
        if self._config.scores_in_background and metrics["time/judging_s"]:
            hidden = 1 - metrics["time/waiting_s"] / metrics["time/judging_s"]
            metrics["time/overlap_share"] = max(0.0, hidden)
        return metrics

    def _draw(
        self, step: int, updates: Sequence[Update], scorer: Scorer, meters: Meters
    ) -> list[list[Pending]]:
        """All edits of a step with pending rewards, update by update."""
        tasks = self._prompts.batch(step)
        pending: list[list[Pending]] = []
        for update in updates:
            prompts = [Prompt(number, tasks[number]) for number in update.numbers]
            pending.append([])
            for some in divided(prompts, self._config.groups_at_a_time):
                start = time.perf_counter()
                with self._in_step_with_others():
                    portion = draw_portion(self._models, self._algorithm, some, self._config, step)
                drawn_s = time.perf_counter() - start
                meters.total("time/rollout_s", drawn_s / self._processes.world_size)
                pending[-1].append(Pending(portion, scorer.submit(portion.edits)))
                if self._config.sharding is None:
                    for one in (one for part in pending for one in part if one.timed.done()):
                        # Detect a failing judge before all edits are drawn.
                        one.timed.result()
        return pending

    def _accumulate(
        self, pending: Sequence[Pending], update: Update, step: int, meters: Meters
    ) -> float:
        """Accumulate an update's gradients; returns the seconds spent waiting for rewards."""
        waited = 0.0
        for portion, timed in pending:
            with self._in_step_with_others():
                begin = time.perf_counter()
                scored = timed.result().scored
                waited += time.perf_counter() - begin
                advantages = self._advantages(portion, scored, meters)
            first = 0
            for batch in portion.batches:
                rows = slice(first, first + len(batch.seeds))
                first = rows.stop
                chosen = advantages.rows(rows).to(self._models.policy.device)
                num_terms = self._algorithm.num_terms(batch)
                for number in range(num_terms):
                    with self._in_step_with_others():
                        term = self._algorithm.term(self._models, batch, chosen, number)
                        self._check(term, batch, meters)
                    self._updates.backward(term.loss_B.sum() / (update.num_edits * num_terms))
                    meters.means(term.metrics)
        return waited

    def _check(self, term: Term, batch: Batch, meters: Meters) -> None:
        check_finite(term.loss_B, "the loss", batch.step, batch.names)
        if self._is_on_policy and term.log_ratio_B is not None:
            module = self._models.policy.trainable()
            far = check_ratio(term.log_ratio_B, self._allowed, module, batch.step)
            meters.mean("policy/first_log_ratio", far)

    def _in_step_with_others(self) -> AbstractContextManager[None]:
        """Where processes synchronise in each pass, none may fail alone in between."""
        return failing_together(self._processes, at_once=self._config.sharding is not None)

    def _update(self, step: int, meters: Meters) -> None:
        meters.mean("policy/gradient_norm", self._updates.step(step))
        self._is_on_policy = False
        if self._models.average is not None:
            self._models.average.update()

    def _advantages(self, portion: Portion, scored: Scored, meters: Meters) -> Advantages:
        size = self._config.group_size
        rewards = {name: one.view(-1, size) for name, one in scored.rewards.items()}
        compared = self._comparison(rewards)
        counts_PG, of_places = compared.counts_PG, None
        has_spread_P = compared.has_spread_P
        if self._config.advantages == "regions":
            condition = portion.condition.repeat(size)
            grid = self._models.policy.grid(condition)
            maps = scored.judgements and region_maps(
                scored.judgements, rewards, self._comparison, grid, self._config.min_region_iou
            )
            if maps:
                on_device = maps.maps_Bhw.to(self._models.policy.device)
                of_places = self._models.policy.spread(on_device, condition)
                counts_PG, has_spread_P = maps.counts_PG, maps.counts_PG.any(dim=1)
                meters.means(maps.metrics)
            self._log_regions(bool(maps))
            meters.mean("regions/used_share", float(bool(maps)))
        total_PG = self._comparison.total(rewards)
        meters.mean("reward/mean", total_PG)
        within = [group[group.isfinite()].std(correction=0) for group in total_PG]
        meters.mean("reward/std_within_group", torch.stack(within))
        meters.mean("reward/failed_share", (~total_PG.isfinite()).double())
        meters.total("reward/num_judged", float(total_PG.isfinite().sum()))
        meters.mean("groups/without_spread_share", (~has_spread_P).double())
        return Advantages(compared.advantages_PG.flatten(), counts_PG.flatten(), of_places)

    def _describe(self, pending: Sequence[Sequence[Pending]], meters: Meters) -> None:
        judged = [(one.portion.edits, one.timed.result()) for part in pending for one in part]
        for _, timed in judged:
            meters.total("time/judging_s", timed.seconds / self._processes.world_size)
        if judged:
            edits = [edit for some, _ in judged for edit in some]
            meters.means(describe(edits, _together([timed.scored for _, timed in judged])))

    def _log_regions(self, are_used: bool) -> None:
        if are_used or self._has_told_of_regions:
            return
        self._has_told_of_regions = True
        logger.warning(
            "advantages: the judge predicts no regions, so advantages compare the whole picture"
        )

    def _is_due(self, step: int) -> bool:
        """Whether the watch must look at the policy after a step."""
        if not self._is_watched or self.outcome.looked_after == step:
            return False
        return step == self._config.num_steps or step % self._config.watch.every_steps == 0

    def _look_and_report(self, metrics: dict[str, float], step: int, report: ReportMetrics) -> None:
        try:
            looked = self._look(step) if self._is_due(step) else {}
        except Exception:
            # Report the step's own metrics first; a resumed training looks again.
            self._report(metrics, step, report)
            self._state.keep(step)
            raise
        self._report(metrics | looked, step, report)

    def _look(self, step: int) -> dict[str, float]:
        """The watch's verdict on the policy with averaged weights."""
        with self.averaged() as policy:
            verdict: Verdict | None = None
            with failing_together(self._processes):
                if self._watch is not None:
                    verdict = self._watch(step, policy)
            verdict = self._processes.from_first(verdict)
            self.outcome.take(verdict, step)
        return {name: float(value) for name, value in verdict.metrics.items()}

    def _report(self, metrics: dict[str, float], step: int, report: ReportMetrics) -> None:
        if not metrics:
            return
        self.history.add(metrics, step)
        if self._processes.is_first:
            report(metrics, step)


def _together(parts: Sequence[Scored]) -> Scored:
    rewards = {name: torch.cat([one.rewards[name] for one in parts]) for name in parts[0].rewards}
    judgements = [judgement for one in parts for judgement in one.judgements or ()]
    return Scored(rewards, judgements or None)


def _wait_for(pending: Sequence[Sequence[Pending]]) -> float:
    """Wait for all rewards of a step; returns the seconds."""
    begin = time.perf_counter()
    for one in (one for part in pending for one in part):
        one.timed.result()
    return time.perf_counter() - begin
