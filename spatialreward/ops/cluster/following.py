"""Follows a TrainJob to its end: what it is at, what its first node says, and how it came out."""

import logging
import time
from collections.abc import Callable, Mapping
from typing import Any, Literal, NamedTuple

from spatialreward.errors import SpatialRewardError
from spatialreward.ops.cluster.api import Cluster, ClusterError, ClusterUnavailable
from spatialreward.ops.cluster.node_log import NodeLog
from spatialreward.ops.cluster.train_job import TRAIN_JOB

logger = logging.getLogger(__name__)

_POLL_S = 5.0
_PATIENCE_S = 900.0
_GONE_S = 120.0
_LAST_TRIES = 4
"""At what the end of a log says, and at a deletion when there is no time for patience."""
_ALL_NODES = "jobset.sigs.k8s.io/jobset-name={name}"

State = Literal["waiting", "training", "complete", "failed", "gone"]


class TrainJobError(SpatialRewardError, RuntimeError):
    """A TrainJob has failed, or was deleted; the message says why."""


class Pace(NamedTuple):
    """How patient a follower is."""

    poll_s: float = _POLL_S
    """Between two looks."""
    patience_s: float = _PATIENCE_S
    """How long the API may be away."""
    gone_s: float = _GONE_S
    """How long a deleted TrainJob may take to be gone."""
    sleep: Callable[[float], object] = time.sleep
    clock: Callable[[], float] = time.monotonic


USUAL_PACE = Pace()


def run_train_job(
    cluster: Cluster, job: dict[str, Any], tell: Callable[[str], object], pace: Pace = USUAL_PACE
) -> State:
    """Create a TrainJob unless it is there, follow it, and leave nothing behind.

    A TrainJob of the same name that is at work is followed: another attempt at a step takes up
    what the last one began. One that has failed is replaced.

    Args:
        cluster: where.
        job: the object.
        tell: gets each line of the first node's log.
        pace: how often to look, and how long to wait.

    Returns:
        ``complete``, or ``gone`` when it was deleted meanwhile.

    Raises:
        TrainJobError: it failed.
        ClusterError: the cluster refuses, or has been away for too long. The TrainJob is deleted
            then, and after an interrupt, as far as the cluster can be asked.
    """
    name = job["metadata"]["name"]
    following = _Following(cluster, name, tell, pace)
    try:
        _begin(following, job)
        state = following.to_the_end()
        if state == "failed":
            raise TrainJobError(f"TrainJob {name} failed: {following.reason()}")
        return state
    finally:
        # One that is over has nothing more to give, and the GPUs of one that is not are dear.
        following.delete_now()


def _begin(following: "_Following", job: dict[str, Any]) -> None:
    name = following.name
    while not following.ask(lambda: following.cluster.create(TRAIN_JOB, job)):
        match following.state():
            case "waiting" | "training":
                logger.info("TrainJob %s is there already: following it", name)
                return
            case "complete":
                return
            case "failed":
                logger.info("TrainJob %s is there and has failed: replacing it", name)
                following.delete()
            case "gone":
                following.wait_until_gone()
    logger.info("created TrainJob %s", name)


class _Following:
    """One TrainJob that is looked at again and again."""

    def __init__(
        self, cluster: Cluster, name: str, tell: Callable[[str], object], pace: Pace
    ) -> None:
        self.cluster = cluster
        self.name = name
        self._tell = tell
        self._pace = pace
        self._log = NodeLog(cluster, name, pace.clock)
        self._heard_at = pace.clock()
        self._is_deaf = False

    def ask(self, question: Callable[[], Any]) -> Any:
        """An answer of the cluster, which may be away for a while.

        Raises:
            ClusterError: it refuses, or is away for longer than that.
        """
        while True:
            try:
                answer = question()
            except ClusterUnavailable as error:
                away_s = self._pace.clock() - self._heard_at
                if away_s > self._pace.patience_s:
                    raise
                logger.warning("%s; asking again (away for %.0f s)", error, away_s)
                self._pace.sleep(self._pace.poll_s)
            else:
                self._heard_at = self._pace.clock()
                return answer

    def state(self) -> State:
        """What it is at; one that is being deleted counts as gone."""
        return _state_of(self.ask(lambda: self.cluster.get(TRAIN_JOB, self.name)))

    def to_the_end(self) -> State:
        """Follow; returns ``complete``, ``failed`` or ``gone``."""
        before: State | None = None
        while True:
            state = self.state()
            if state != before:
                logger.info("TrainJob %s: %s", self.name, state)
                before = state
            heard = self._hear()
            if state not in ("waiting", "training"):
                if not heard:
                    self._hear_the_rest()
                return state
            self._pace.sleep(self._pace.poll_s)

    def reason(self) -> str:
        """Why it failed: its own condition, and what its pods ended with."""
        job = self.ask(lambda: self.cluster.get(TRAIN_JOB, self.name)) or {}
        condition = _condition(job, "Failed") or {}
        said = [condition.get("message") or condition.get("reason") or "no reason given"]
        pods = self.ask(lambda: self.cluster.pods(_ALL_NODES.format(name=self.name)))
        said += filter(None, map(_ending_of, pods))
        if self._log.last_error:
            said.append(self._log.last_error)
        return "; ".join(said)

    def delete(self) -> None:
        """Delete it, and wait until it is gone."""
        self.ask(lambda: self.cluster.delete(TRAIN_JOB, self.name))
        self.wait_until_gone()

    def delete_now(self) -> None:
        """Delete it with a few tries and without waiting: this process may be being ended."""
        for remaining in reversed(range(_LAST_TRIES)):
            try:
                self.cluster.delete(TRAIN_JOB, self.name)
            except ClusterError as error:
                if not remaining:
                    logger.error("TrainJob %s may still be there: %s", self.name, error)
                    return
                self._pace.sleep(1.0)
            else:
                logger.info("deleted TrainJob %s", self.name)
                return

    def wait_until_gone(self) -> None:
        """Wait for the last of a deleted TrainJob.

        Raises:
            ClusterError: it takes too long.
        """
        end = self._pace.clock() + self._pace.gone_s
        while self.ask(lambda: self.cluster.get(TRAIN_JOB, self.name)) is not None:
            if self._pace.clock() > end:
                raise ClusterError(
                    f"TrainJob {self.cluster.namespace}/{self.name}: deleted, but still there "
                    f"after {self._pace.gone_s:.0f} s"
                )
            self._pace.sleep(self._pace.poll_s)

    def _hear_the_rest(self) -> None:
        for _ in range(_LAST_TRIES):
            self._pace.sleep(self._pace.poll_s)
            if self._hear():
                return
        logger.warning("the end of what TrainJob %s said cannot be read", self.name)

    def _hear(self) -> bool:
        """Tell what the first node has said since; False when not all of it could be read."""
        try:
            for line in self._log.new_lines():
                self._tell(line)
        except ClusterError as error:
            # What does not answer is asked again; what is refused stays so, and is told once.
            passes = isinstance(error, ClusterUnavailable) or self._is_deaf
            logger.log(logging.DEBUG if passes else logging.WARNING, "%s", error)
            self._is_deaf = not isinstance(error, ClusterUnavailable)
            return False
        self._is_deaf = False
        return True


def _state_of(job: Mapping[str, Any] | None) -> State:
    if job is None or job["metadata"].get("deletionTimestamp"):
        return "gone"
    if _condition(job, "Complete"):
        return "complete"
    if _condition(job, "Failed"):
        return "failed"
    jobs = job.get("status", {}).get("jobsStatus", [])
    return "training" if any(one.get("active") for one in jobs) else "waiting"


def _condition(job: Mapping[str, Any], kind: str) -> Mapping[str, Any] | None:
    """A condition that holds."""
    conditions = job.get("status", {}).get("conditions", [])
    return next(
        (one for one in conditions if one["type"] == kind and one["status"] == "True"), None
    )


def _ending_of(pod: Mapping[str, Any]) -> str:
    """What a pod that failed ended with; empty for any other."""
    for container in pod.get("status", {}).get("containerStatuses", []):
        ended = container.get("state", {}).get("terminated") or {}
        if ended.get("exitCode"):
            reason = f" ({ended['reason']})" if ended.get("reason") else ""
            return f"pod {pod['metadata']['name']} ended with status {ended['exitCode']}{reason}"
    return ""
