"""Compares two versions of a judge on the same edits: failures, time, agreement."""

import logging
import statistics
import time
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from scipy import stats

from spatialreward.client import (
    DeadlineExceeded,
    ServerBusy,
    ServerUnavailable,
    ServingError,
    TritonJudge,
)
from spatialreward.edits import Edit
from spatialreward.errors import SpatialRewardError
from spatialreward.ops.deployer.config import TrialBounds
from spatialreward.ops.deployment.errors import (
    DeploymentError,
    NothingKnown,
    ServerAway,
    TrialFailed,
)
from spatialreward.records import Judgement

logger = logging.getLogger(__name__)

ProbeEdits = Mapping[str, Edit]
"""Edits by id, as RL and evaluation would ask about them."""
_FEWEST_TO_RANK = 3


class Judge(NamedTuple):
    """One version where it can be asked."""

    endpoint: str
    model: str


class Trial(NamedTuple):
    """What two versions said about the same edits."""

    failed_share_old: float
    failed_share_new: float
    latency_old_s: float
    """Median of one judgement."""
    latency_new_s: float
    rank_correlation: float | None
    """None where fewer than three edits have two rewards, or the served version tells no two
    apart."""
    reward_difference: float | None
    """Mean absolute; None where no edit has two rewards."""

    def complaints(self, bounds: TrialBounds) -> list[str]:
        """Every bound that the new version breaks, in words."""
        found = []
        more = self.failed_share_new - self.failed_share_old
        if more > bounds.max_failed_share_more:
            found.append(
                f"it fails on {self.failed_share_new:.0%} of the probe edits, the served version "
                f"on {self.failed_share_old:.0%}"
            )
        allowed_s = bounds.max_latency_ratio * self.latency_old_s + bounds.latency_slack_s
        if self.latency_new_s > allowed_s:
            found.append(
                f"a judgement takes {self.latency_new_s:.3f} s, allowed are {allowed_s:.3f} s"
            )
        if (
            self.rank_correlation is not None
            and not self.rank_correlation >= bounds.min_rank_correlation
        ):
            found.append(
                f"its rewards rank the probe edits otherwise: correlation "
                f"{self.rank_correlation:.2f}, at least {bounds.min_rank_correlation:.2f} expected"
            )
        if (
            self.reward_difference is not None
            and self.reward_difference > bounds.max_reward_difference
        ):
            found.append(
                f"its rewards differ by {self.reward_difference:.3f} on average, "
                f"allowed are {bounds.max_reward_difference:.3f}"
            )
        return found


def check_trial(old: Judge, new: Judge, edits: ProbeEdits, bounds: TrialBounds) -> None:
    """Compare a new version with the served one on probe edits.

    Where the served version does not answer, there is nothing to compare with, and all the more
    reason to replace it. One that is only too busy to answer is no such case.

    Raises:
        TrialFailed: the new version breaks a bound; the message names each.
        ServedTooBusy: there is no time for a comparison.
        ServerAway: it does not answer.
        DeploymentError: it answers with something else than judgements.
    """
    try:
        trial = run_trial(old, new, edits)
    except _ServedAway as error:
        logger.warning("not compared with the served version: %s", error)
        return
    if complaints := trial.complaints(bounds):
        raise TrialFailed(f"{new.model} at {new.endpoint}: {'; '.join(complaints)}")
    logger.info("compared with the served version on %d probe edits: %s", len(edits), trial)


class ServedTooBusy(NothingKnown):
    """The served version answers, but not to be compared with."""


class _ServedAway(SpatialRewardError):
    """The served version does not answer."""


def run_trial(old: Judge, new: Judge, edits: ProbeEdits) -> Trial:
    """Ask both versions about every edit, in turn, so that what else goes on slows both.

    Raises:
        ServedTooBusy, ServerAway, DeploymentError: as ``check_trial``.
    """
    olds, news = [], []
    old_s, new_s = [], []
    with (
        TritonJudge(old.endpoint, model=old.model) as served,
        TritonJudge(new.endpoint, model=new.model) as tried,
    ):
        first = next(iter(edits.values()))
        _ask_served(served, first)
        _ask(tried, first)
        for edit in edits.values():
            start = time.perf_counter()
            olds.append(_ask_served(served, edit))
            between = time.perf_counter()
            news.append(_ask(tried, edit))
            old_s.append(between - start)
            new_s.append(time.perf_counter() - between)
    return _trial(olds, news, old_s, new_s)


def _ask_served(judge: TritonJudge, edit: Edit) -> Judgement:
    try:
        return judge.judge([edit])[0]
    except (ServerBusy, DeadlineExceeded) as error:
        raise ServedTooBusy(
            f"the served version is too busy to be compared with: {error}"
        ) from error
    except ServingError as error:
        raise _ServedAway(str(error)) from error


def _ask(judge: TritonJudge, edit: Edit) -> Judgement:
    try:
        return judge.judge([edit])[0]
    except ServerUnavailable as error:
        raise ServerAway(f"probe: {error}") from error
    except ServingError as error:
        raise DeploymentError(f"probe: {error}") from error


def _trial(
    olds: Sequence[Judgement],
    news: Sequence[Judgement],
    old_s: Sequence[float],
    new_s: Sequence[float],
) -> Trial:
    both = [
        (old.reward, new.reward)
        for old, new in zip(olds, news, strict=True)
        if old.reward is not None and new.reward is not None
    ]
    return Trial(
        _failed_share(olds),
        _failed_share(news),
        statistics.median(old_s),
        statistics.median(new_s),
        _rank_correlation(np.array(both)) if len(both) >= _FEWEST_TO_RANK else None,
        float(np.mean([abs(old - new) for old, new in both])) if both else None,
    )


def _failed_share(judgements: Sequence[Judgement]) -> float:
    return sum(one.reward is None for one in judgements) / len(judgements)


def _rank_correlation(rewards_N2: np.ndarray) -> float | None:
    old_N, new_N = rewards_N2.T
    if np.ptp(old_N) == 0:
        return None
    # A judge that finds all edits equally good agrees with no judge that does not.
    return float(stats.spearmanr(old_N, new_N).statistic) if np.ptp(new_N) > 0 else 0.0
