"""Runs all trainings of the comparison, several in parallel; skips finished ones."""

import json
import logging
import math
import multiprocessing
import sys
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import FIRST_EXCEPTION, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import NamedTuple

from spatialreward.errors import InvalidInputError
from spatialreward.progress import track
from spatialreward.rl.config import RlConfig
from spatialreward.training.config import JudgeKind
from spatialreward.world.claim.running import TrainingError
from spatialreward.world.rl_claim.comparing import gain
from spatialreward.world.rl_claim.config import CEILING, HeldOutConfig, RewardKind, RlClaimConfig
from spatialreward.world.rl_claim.training import Job, Trained, train

logger = logging.getLogger(__name__)

_SETTINGS = "settings.json"
_LOG = "trainings.log"
_SECONDS_BETWEEN_LOOKS = 5.0


class RlClaim(NamedTuple):
    """Results of all trainings."""

    trainings: list[Trained]
    learning_rate: float
    """Of all of them."""
    tried: dict[float, float]
    """Gain of the oracle's reward by learning rate; NaN if not tried."""


class RlClaimFolder:
    """The trainings and their results; resumes with the same settings."""

    def __init__(
        self,
        folder: Path,
        config: RlClaimConfig,
        editor: Path,
        judges: Sequence[Mapping[JudgeKind, Path]],
        held_out: Path,
    ) -> None:
        """Open or create the folder.

        Args:
            folder: for all files.
            config: the comparison.
            editor: initial editor of all trainings.
            judges: for each seed, checkpoints by the judges' kinds, at least those of
                ``config.judge_kinds``.
            held_out: checkpoint of the judge that watches all trainings but rewards none.

        Raises:
            InvalidInputError: the folder has other settings.
        """
        self._folder = folder
        self._config = config
        self._editor = editor
        self._judges = judges
        self._watching = held_out
        folder.mkdir(parents=True, exist_ok=True)
        # The number of parallel trainings may change.
        settings = json.dumps(config.model_dump(mode="json", exclude={"processes"}), indent=2)
        path = folder / _SETTINGS
        if path.is_file() and path.read_text() != settings:
            raise InvalidInputError(
                f"{path}: was started with other settings; resume with those, or use another folder"
            )
        path.write_text(settings)

    def run(self) -> "RlClaim":
        """Run every missing training, seed by seed.

        Raises:
            InvalidInputError: a training has another editor or judge.
            TrainingError: a process was killed; the same command resumes.
            RewardError, JudgeChangedError, NotFiniteError, RatioError: as ``train``.
        """
        with ProcessPoolExecutor(
            self._config.processes,
            multiprocessing.get_context("spawn"),
            initializer=_begin_process,
            initargs=(self._folder / _LOG,),
        ) as pool:
            return self._run_in(pool)

    def _run_in(self, pool: ProcessPoolExecutor) -> "RlClaim":
        tried = self._try_learning_rates(pool)
        learning_rate = max(tried, key=lambda rate: tried[rate])
        jobs = [
            self._job(
                f"{kind}-{seed}",
                self._config.rl_of(kind, seed, learning_rate, judges, self._watching),
                number,
                self._config.held_out,
                kind,
            )
            for number, (seed, judges) in enumerate(
                zip(self._config.seeds, self._judges, strict=True)
            )
            for kind in self._config.rewards
        ]
        return RlClaim(_train_all(pool, jobs, "steps of RL"), learning_rate, tried)

    def _try_learning_rates(self, pool: ProcessPoolExecutor) -> dict[float, float]:
        """Gain of the oracle's reward with each; tries nothing if there is only one."""
        rates = self._config.learning_rates
        if len(rates) == 1:
            return {rates[0]: math.nan}
        held_out = self._config.held_out
        apart = held_out.model_copy(update={"first": held_out.first + held_out.num_prompts})
        jobs = [
            self._job(
                f"learning-rate-{rate:g}",
                self._config.trying(rate),
                len(self._config.seeds),
                apart,
                CEILING,
            )
            for rate in rates
        ]
        trained = _train_all(pool, jobs, "steps of RL, learning rates")
        return {rate: gain([one]).value for rate, one in zip(rates, trained, strict=True)}

    def _job(
        self, name: str, rl: RlConfig, seed_number: int, held_out: HeldOutConfig, kind: RewardKind
    ) -> Job:
        return Job(
            kind=kind,
            rl=rl,
            seed_number=seed_number,
            world=self._config.world,
            held_out=held_out,
            editor=self._editor,
            folder=self._folder / "trainings" / name,
        )


def _train_all(pool: ProcessPoolExecutor, jobs: Sequence[Job], description: str) -> list[Trained]:
    """Results of all trainings; runs or resumes the unfinished ones."""
    unfinished = [job for job in jobs if job.trained is None]
    futures = [pool.submit(train, job) for job in unfinished]
    for one in futures:
        one.add_done_callback(_log_when_done)
    left = sum(job.rl.num_steps - job.steps_done for job in unfinished)
    try:
        for _ in track(_steps(unfinished, futures), total=left, description=description):
            pass
    except BaseException:
        # Let running ones end first; they keep their states.
        pool.shutdown(wait=False, cancel_futures=True)
        raise
    return [train(job) for job in jobs]


def _steps(jobs: Sequence[Job], futures: Sequence["Future[Trained]"]) -> Iterator[int]:
    """Completed steps, one by one, as the processes report them.

    Raises:
        TrainingError: a process was killed.
        Exception: from a training that failed.
    """
    before, done = sum(job.steps_done for job in jobs), 0
    pending: set[Future[Trained]] = set(futures)
    while pending:
        finished, pending = wait(pending, _SECONDS_BETWEEN_LOOKS, FIRST_EXCEPTION)
        try:
            for one in finished:
                one.result()
        except BrokenProcessPool as error:
            raise TrainingError(
                "a process was killed, perhaps for its memory; the same command goes on"
            ) from error
        now = sum(job.steps_done for job in jobs) - before
        # A training resumed after a kill repeats a few steps.
        yield from range(done, now)
        done = max(done, now)


def _begin_process(log: Path) -> None:
    """Use one thread, and log to a file: several processes' bars would be unreadable."""
    import torch

    torch.set_num_threads(1)
    sys.stderr = log.open("a", encoding="utf-8", buffering=1)
    logging.basicConfig(
        stream=sys.stderr, level=logging.INFO, format="%(asctime)s %(process)d %(message)s"
    )


def _log_when_done(future: "Future[Trained]") -> None:
    if not future.cancelled() and future.exception() is None:
        _log(future.result())


def _log(trained: Trained) -> None:
    first, *_, last = trained.looks
    before, after = (sum(one.rewards) / len(one.rewards) for one in (first, last))
    logger.info(
        "%s, seed %d: the oracle's reward went from %.3f to %.3f, %.1f s a step",
        trained.kind,
        trained.seed,
        before,
        after,
        trained.told.step_s,
    )
