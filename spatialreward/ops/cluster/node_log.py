"""What the first node of a TrainJob says, told once, in order and completely.

The log is read piece by piece rather than as a stream that stays open: a connection that is cut, an
API server that is away for a while and a pod that is replaced are all the same then, a piece that
is read the next time.
"""

from collections import Counter
from collections.abc import Callable, Iterator

from spatialreward.ops.cluster.api import Cluster
from spatialreward.ops.cluster.train_job import NODES

_OVERLAP_S = 5
_FIRST_NODE = (
    "jobset.sigs.k8s.io/jobset-name={name},"
    f"jobset.sigs.k8s.io/replicatedjob-name={NODES},"
    "batch.kubernetes.io/job-completion-index=0"
)


class NodeLog:
    """What the first node says, across cut connections and pods that are replaced."""

    def __init__(self, cluster: Cluster, name: str, clock: Callable[[], float]) -> None:
        """Of the TrainJob ``name``; nothing is read yet."""
        self._cluster = cluster
        self._selector = _FIRST_NODE.format(name=name)
        self._clock = clock
        self._pod = ""
        self._last_time = ""
        self._told_then: list[str] = []
        self._read_at: float | None = None
        self.last_error = ""
        """The last line with which a step says why it failed."""

    def new_lines(self) -> Iterator[str]:
        """Lines that have not been told.

        Raises:
            ClusterError: they cannot be read at the moment.
        """
        pods = self._cluster.pods(self._selector)
        if not pods or pods[-1].get("status", {}).get("phase") == "Pending":
            return
        pod = pods[-1]["metadata"]["name"]
        if pod != self._pod:
            self._pod, self._last_time, self._told_then, self._read_at = pod, "", [], None
        asked_at = self._clock()
        since = None
        if self._read_at is not None:
            since = int(asked_at - self._read_at) + _OVERLAP_S
        told_then = Counter(self._told_then)
        for line in self._cluster.log(pod, NODES, since):
            moment, _, said = line.partition(" ")
            if moment < self._last_time:
                continue
            if moment == self._last_time and told_then[said]:
                told_then[said] -= 1
                continue
            if moment > self._last_time:
                self._last_time, self._told_then = moment, []
            self._told_then.append(said)
            if said.startswith("error: "):
                self.last_error = said
            yield said
        self._read_at = asked_at
