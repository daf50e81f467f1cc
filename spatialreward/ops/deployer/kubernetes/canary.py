"""Gives a new version copies of requests, then a share of them, and watches what becomes of it."""

import logging
import time
from collections.abc import Callable, Mapping
from typing import NamedTuple

from spatialreward.ops.deployer.config import Canary
from spatialreward.ops.deployer.kubernetes.counts import Counts, counted_meanwhile
from spatialreward.ops.deployer.kubernetes.traffic import Traffic
from spatialreward.ops.deployment.errors import ServerAway, TrialFailed, TrialInconclusive

logger = logging.getLogger(__name__)


class Watched(NamedTuple):
    """How the two versions are looked at."""

    counts: Callable[[int], dict[str, Counts]]
    """What the servers of a version have counted."""
    compare: Callable[[], None]
    """Compares both on the probe edits; raises ``DeploymentError`` when the new one is no good."""
    check: Callable[[], None]
    """Raises ``DeploymentError`` when this deployer must not go on."""


def give_share(traffic: Traffic, canary: Canary, old: int, new: int, watched: Watched) -> None:
    """Take a new version from copies to the largest share, step by step.

    A step is over when it has lasted its time and both versions have answered ``min_requests``.
    Whoever calls brings all requests back to the old version when this fails.

    Raises:
        TrialFailed: the new version breaks a bound; the message says at which step and which.
        TrialInconclusive: too few requests came within the steps' time and ``extra_s``.
        ServerAway: none of its servers says what it has counted.
        DeploymentError: it does not answer, or the cluster does not.
    """
    trial = _Trial(canary, old, new, watched)
    if canary.shadow_s:
        traffic.shadow(old, new)
        trial.watch("as a shadow", canary.shadow_s)
    for percent in canary.weights:
        traffic.share(old, new, percent)
        trial.watch(f"at {percent} % of the requests", canary.step_s)


class _Trial:
    """A new version beside the old one, and the time that is left to wait for requests."""

    def __init__(self, canary: Canary, old: int, new: int, watched: Watched) -> None:
        self._canary = canary
        self._old = old
        self._new = new
        self._watched = watched
        self._extra_s = canary.extra_s

    def watch(self, where: str, seconds: float) -> None:
        """Look at both versions until a step is over; errors as for ``give_share``."""
        logger.info("version %d %s, watched for %g s", self._new, where, seconds)
        start, before = time.monotonic(), self._counts()
        until = seconds
        while True:
            left = until - (time.monotonic() - start)
            time.sleep(max(0.0, min(left, self._canary.look_every_s)))
            old, new = self._look(where, before)
            lasted = time.monotonic() - start
            if lasted < seconds:
                continue
            if min(old.requests, new.requests) >= self._canary.min_requests:
                break
            if lasted >= (until := seconds + self._extra_s):
                raise self._inconclusive(where, lasted, old, new)
        self._extra_s = max(0.0, self._extra_s - (lasted - seconds))

    def _look(self, where: str, before: Mapping[int, Mapping[str, Counts]]) -> tuple[Counts, ...]:
        """What the old and the new version have counted since the step began."""
        self._watched.check()
        self._watched.compare()
        now = self._counts()
        if not now[self._new]:
            # Nobody could tell what becomes of the requests that it gets.
            raise ServerAway(f"version {self._new} {where}: none of its servers tells its metrics")
        old, new = (
            counted_meanwhile(before[version], now[version]) for version in (self._old, self._new)
        )
        if complaints := _complaints(old, new, self._canary):
            raise TrialFailed(f"version {self._new} {where}: {'; '.join(complaints)}")
        return old, new

    def _counts(self) -> dict[int, dict[str, Counts]]:
        return {version: self._watched.counts(version) for version in (self._old, self._new)}

    def _inconclusive(
        self, where: str, seconds: float, old: Counts, new: Counts
    ) -> TrialInconclusive:
        return TrialInconclusive(
            f"version {self._new} {where}: inconclusive after {seconds:.0f} s: it answered "
            f"{new.requests:.0f} requests, version {self._old} {old.requests:.0f}; "
            f"{self._canary.min_requests} of each are needed"
        )


def _complaints(old: Counts, new: Counts, canary: Canary) -> list[str]:
    """Every bound that the new version breaks, once it has answered often enough to tell."""
    # A server whose model has died fails requests that it does not count as answered.
    if max(new.requests, new.failed) < canary.min_requests:
        return []
    found = []
    if new.failed_share - old.failed_share > canary.max_error_share:
        found.append(
            f"{new.failed_share:.1%} of its edits failed, of the old version's "
            f"{old.failed_share:.1%}"
        )
    enough = min(old.requests, new.requests) >= canary.min_requests
    if enough and new.mean_s > canary.max_latency_ratio * old.mean_s:
        found.append(f"a request takes {new.mean_s:.3f} s, the old version's {old.mean_s:.3f} s")
    return found
