"""Pins a training to one judge, and waits for it while it is unavailable."""

import logging
import threading
import time
from collections.abc import Sequence
from typing import Any

from spatialreward.client.errors import RequestRejected, WrongAddress
from spatialreward.edits import Edit
from spatialreward.errors import Failure, SpatialRewardError, is_final
from spatialreward.judges.interface import Judging
from spatialreward.records import Judgement
from spatialreward.rl.reward_config import PatienceConfig

logger = logging.getLogger(__name__)

_LONGEST_WAIT_S = 600.0


class RewardError(SpatialRewardError, RuntimeError):
    """The judge failed on too many edits of a step, or is unavailable."""


class JudgeChangedError(SpatialRewardError, ValueError):
    """The judge differs from the one at the start."""


class Pin:
    """Pins the judge of the first judgement.

    Each judgement carries its judge's identity, the line of a ``JudgeIdentity``, so a change of the
    served judge within a step is detected, as are replicas with other weights under the same name
    and version.
    """

    def __init__(self, what: str = "training", otherwise: str = "train from the start") -> None:
        """Start without a judge.

        Args:
            what: the pinned work, for errors.
            otherwise: advice for a user who wants another judge.
        """
        self._what = what
        self._otherwise = otherwise
        self.judged_by: str | None = None
        """Line of the judge's identity; None before the first judgement."""

    def check(self, judgements: Sequence[Judgement]) -> None:
        """Compare the judge of each judgement with the pinned one; skips failed judgements.

        Raises:
            JudgeChangedError: some are from another judge.
        """
        for judgement in judgements:
            if judgement.reward is None:
                continue
            if self.judged_by is None:
                self.judged_by = judgement.judged_by
            if judgement.judged_by != self.judged_by:
                raise JudgeChangedError(
                    f"rewards come from {judgement.judged_by}; the {self._what} began with "
                    f"{self.judged_by}; serve that one again, or {self._otherwise}"
                )


class PatientJudge:
    """A pinned judge with retries, within the limits of the settings.

    Retries when the judge or its server fails: a call raises, or more judgements than allowed are
    failed, enough of them because of the judge. Keeps earlier judgements. An unreadable answer is
    the judge's answer, so it is not retried.
    """

    def __init__(self, name: str, judging: Judging, config: PatienceConfig) -> None:
        """Wrap a judge; ``name`` identifies it in the log."""
        self._name = name
        self._judging = judging
        self._config = config
        self._pin = Pin()
        self.seconds_waited = 0.0
        """Over all calls so far."""

    @property
    def judged_by(self) -> str | None:
        """Line of the judge's identity; None before the first judgement."""
        return self._pin.judged_by

    @property
    def notice(self) -> str:
        """A remark for readers of the rewards."""
        return self._judging.notice

    def judge(self, edits: Sequence[Edit], stop: threading.Event) -> list[Judgement]:
        """One judgement an edit, in order; at most the allowed share of them failed.

        Args:
            edits: to judge.
            stop: aborts the waiting when another thread sets it.

        Raises:
            RewardError: too many edits have no judgement after all retries.
            JudgeChangedError: some judgements are from another judge.
            SpatialRewardError: the judge's refusal is permanent.
        """
        judgements: list[Judgement | None] = [None] * len(edits)
        waits = _Waits(self._config)
        while True:
            asked = [number for number, one in enumerate(judgements) if _is_open(one)]
            try:
                answers = self._judging.judge([edits[number] for number in asked])
            except SpatialRewardError as error:
                if is_final(error) or isinstance(error, (RequestRejected, WrongAddress)):
                    raise
                self._wait(waits, f"the judge is away: {error}", error, stop)
                continue
            self._pin.check(answers)
            for number, judgement in zip(asked, answers, strict=True):
                judgements[number] = judgement
            judged = [one for one in judgements if one is not None]
            problem = self._problem(judged)
            if problem is None:
                if waits.seconds:
                    logger.info("reward %s: answers again after %.0f s", self._name, waits.seconds)
                return judged
            if self._is_too_many(sum(map(_is_unreadable, judged)), len(judged)):
                raise RewardError(f"reward {self._name}: {problem}")
            self._wait(waits, problem, None, stop)

    def state_dict(self) -> dict[str, Any]:
        """The pinned judge."""
        return {"judged_by": self._pin.judged_by}

    def load_state_dict(self, state_dict: dict[str, Any], /) -> None:
        """Restore the pinned judge."""
        self._pin.judged_by = state_dict["judged_by"]

    def _problem(self, judgements: Sequence[Judgement]) -> str | None:
        failed = [one for one in judgements if one.reward is None]
        if not self._is_too_many(len(failed), len(judgements)):
            return None
        return (
            f"the judge failed on {len(failed)} of {len(judgements)} edits of one step, more than "
            f"the share of {self._config.max_failed_share:g} allowed; the first reason: "
            f"{failed[0].reason}"
        )

    def _is_too_many(self, failed: int, judged: int) -> bool:
        return failed > self._config.max_failed_share * judged

    def _wait(
        self, waits: "_Waits", problem: str, error: Exception | None, stop: threading.Event
    ) -> None:
        wait_s = waits.next_s()
        if wait_s is None:
            waited = f" (waited for {waits.seconds:.0f} s)" if waits.seconds else ""
            raise RewardError(f"reward {self._name}: {problem}{waited}") from error
        logger.warning(
            "reward %s: %s; the training pauses and asks again in %.3g s (%.0f of %.0f s waited)",
            self._name,
            problem,
            wait_s,
            waits.seconds,
            self._config.max_wait_s,
        )
        start = time.monotonic()
        stopped = stop.wait(wait_s)
        waited_s = time.monotonic() - start
        waits.seconds += waited_s
        self.seconds_waited += waited_s
        if stopped:
            raise RewardError(f"reward {self._name}: no longer waited for; {problem}") from error


class _Waits:
    """Waits between a call's attempts: they grow, up to a total limit."""

    def __init__(self, config: PatienceConfig) -> None:
        self._next_s = config.retry_wait_s
        self._most_s = config.max_wait_s
        self.seconds = 0.0

    def next_s(self) -> float | None:
        """None: the limit is reached."""
        left_s = self._most_s - self.seconds
        if left_s <= 0:
            return None
        wait_s, self._next_s = self._next_s, min(2 * self._next_s, _LONGEST_WAIT_S)
        return min(wait_s, left_s)


def _is_open(judgement: Judgement | None) -> bool:
    """Whether an edit needs a judgement or a retry."""
    return judgement is None or judgement.failure is Failure.JUDGE_FAILED


def _is_unreadable(judgement: Judgement) -> bool:
    return judgement.reward is None and judgement.failure is not Failure.JUDGE_FAILED
