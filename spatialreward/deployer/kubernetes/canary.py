"""Gives a new version copies of requests, then a share of them, and watches what becomes of it."""

import logging
import time
from collections.abc import Callable
from typing import NamedTuple

from spatialreward.deployer.config import Canary
from spatialreward.deployer.kubernetes.counts import Counts, counted_meanwhile
from spatialreward.deployer.kubernetes.traffic import Traffic
from spatialreward.deployment.errors import ServerAway, TrialFailed

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

    Whoever calls brings all requests back to the old version when this fails.

    Raises:
        TrialFailed: the new version breaks a bound; the message says at which step and which.
        ServerAway: none of its servers says what it has counted.
        DeploymentError: it does not answer, or the cluster does not.
    """
    if canary.shadow_s:
        traffic.shadow(old, new)
        _watch("as a shadow", canary.shadow_s, canary, old, new, watched)
    for percent in canary.weights:
        traffic.share(old, new, percent)
        _watch(f"at {percent} % of the requests", canary.step_s, canary, old, new, watched)


def _watch(
    where: str, seconds: float, canary: Canary, old: int, new: int, watched: Watched
) -> None:
    logger.info("version %d %s, watched for %g s", new, where, seconds)
    until = time.monotonic() + seconds
    before = {version: watched.counts(version) for version in (old, new)}
    while (left := until - time.monotonic()) > 0:
        time.sleep(min(left, canary.look_every_s))
        watched.check()
        watched.compare()
        now = {version: watched.counts(version) for version in (old, new)}
        if not now[new]:
            # Nobody could tell what becomes of the requests that it gets.
            raise ServerAway(f"version {new} {where}: none of its servers tells its metrics")
        olds, news = (counted_meanwhile(before[version], now[version]) for version in (old, new))
        if complaints := _complaints(olds, news, canary):
            raise TrialFailed(f"version {new} {where}: {'; '.join(complaints)}")


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
