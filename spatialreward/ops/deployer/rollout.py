"""A Rollout of Argo Rollouts: which version its pods run, how far it is, and why it failed.

The deployer writes the version into the labels of the pod template. Argo Rollouts makes the pods,
runs the AnalysisTemplates and moves the traffic; its status says how that went.
"""

from typing import NamedTuple

from spatialreward.ops.cluster.api import Cluster, Object, Resource
from spatialreward.ops.registry import ModelVersion

ROLLOUT = Resource("argoproj.io", "v1alpha1", "rollouts", "Rollout")
ANALYSIS_RUN = Resource("argoproj.io", "v1alpha1", "analysisruns", "AnalysisRun")

VERSION_LABEL = "spatialreward.dev/model-version"
"""Label of the Rollout and of its pods: the version's number in the registry."""
MODEL = "spatialreward.dev/model"
"""Annotation of the pods: ``models:/NAME/VERSION``, which their init container fetches."""
SERVED = "spatialreward.dev/served-version"
"""Annotation of the Rollout: the version that was served last."""
AT_ONCE = "spatialreward.dev/at-once"
"""Annotation of the Rollout while a version takes all requests without analysis and shares."""
POD_HASH = "rollouts-pod-template-hash"
"""Label with which Argo Rollouts tells the pods and AnalysisRuns of one pod template."""
TRY_AGAIN = 3
"""Exit status of ``spatialreward deploy check`` when it could not tell."""

_INCONCLUSIVE = "InconclusiveAnalysisRun"
_ENDED_BADLY = ("Failed", "Error", "Inconclusive")


class Rollout:
    """A Rollout as the cluster has it."""

    def __init__(self, document: Object) -> None:
        """Take a Rollout as the API returns it."""
        self._metadata = document["metadata"]
        self._spec = document["spec"]
        self._status = document.get("status", {})
        self._annotations = self._metadata.get("annotations", {})

    @property
    def model_uri(self) -> str:
        """The registered version that its pod template fetches; empty: none."""
        template = self._spec["template"].get("metadata", {})
        return str(template.get("annotations", {}).get(MODEL, ""))

    @property
    def served(self) -> int | None:
        """The version that was served last; None: none."""
        version = self._annotations.get(SERVED, "")
        return int(version) if version.isdigit() else None

    @property
    def at_once(self) -> bool:
        """Whether its template takes all requests without analysis and shares."""
        return AT_ONCE in self._annotations

    @property
    def has_no_replicas(self) -> bool:
        """Whether it was scaled to none."""
        return self._spec.get("replicas") == 0

    @property
    def available(self) -> int:
        """Pods that answer."""
        return int(self._status.get("availableReplicas", 0))

    @property
    def pod_hash(self) -> str:
        """Of its pod template."""
        return str(self._status.get("currentPodHash", ""))

    @property
    def is_seen(self) -> bool:
        """Whether its status is about the Rollout as it is now."""
        return str(self._status.get("observedGeneration")) == str(self._metadata["generation"])

    @property
    def is_promoted(self) -> bool:
        """Whether all requests go to the pods of its template."""
        return bool(self.pod_hash) and self.pod_hash == self._status.get("stableRS")

    @property
    def is_healthy(self) -> bool:
        """Whether it is promoted and has all its pods."""
        return self.is_promoted and self._status.get("phase") == "Healthy"

    @property
    def promotes_at_once(self) -> bool:
        """Whether Argo Rollouts leaves its steps out."""
        return bool(self._status.get("promoteFull"))

    @property
    def is_aborted(self) -> bool:
        """Whether an analysis failed, or pods did not become ready in time."""
        late = self._status.get("phase") == "Degraded" and self.message.startswith("ProgressDead")
        return bool(self._status.get("abort")) or late

    @property
    def is_invalid(self) -> bool:
        """Whether Argo Rollouts refuses what its manifest says."""
        return self.message.startswith("InvalidSpec")

    @property
    def is_inconclusive(self) -> bool:
        """Whether it waits since an analysis could not tell."""
        pauses = self._status.get("pauseConditions") or []
        return any(one.get("reason") == _INCONCLUSIVE for one in pauses)

    @property
    def message(self) -> str:
        """What Argo Rollouts says of its phase."""
        return str(self._status.get("message", ""))

    @property
    def progress(self) -> str:
        """Its phase, in words."""
        phase = str(self._status.get("phase", "Progressing")).lower()
        return f"{phase}: {self.message}" if self.message else phase

    def share_at(self, run: Object) -> int | None:
        """Percent of the requests that its new pods had at an AnalysisRun; None: no share."""
        step = run["metadata"].get("labels", {}).get("step-index", "")
        steps = self._spec["strategy"].get("canary", {}).get("steps", [])
        before = steps[: int(step)] if step.isdigit() else []
        weights = [one["setWeight"] for one in before if one.get("setWeight")]
        return weights[-1] if weights else None


def template_of(model: ModelVersion | None) -> Object:
    """Changes to a Rollout that make its pods run a version; None: no version, and no pods."""
    version = str(model.version) if model else None
    template = {"labels": {VERSION_LABEL: version}, "annotations": {MODEL: model and model.uri}}
    spec: Object = {"template": {"metadata": template}}
    if model is None:
        spec["replicas"] = 0
    return {"metadata": {"labels": {VERSION_LABEL: version}}, "spec": spec}


class Failure(NamedTuple):
    """Why a version was not promoted."""

    reason: str
    is_inconclusive: bool = False
    """Nothing was found against the version, nor enough for it."""


def failure_of(cluster: Cluster, rollout: Rollout, max_restarts: int) -> Failure | None:
    """Why a Rollout does not come to an end, from its AnalysisRuns and pods; None: it may yet.

    Raises:
        ClusterError: the cluster cannot be asked.
    """
    if rollout.is_aborted or rollout.is_inconclusive:
        selector = f"{POD_HASH}={rollout.pod_hash}"
        runs = [
            run
            for run in cluster.find(ANALYSIS_RUN, selector)
            if run.get("status", {}).get("phase") in _ENDED_BADLY
        ]
        if runs:
            last = max(runs, key=lambda run: run["metadata"].get("creationTimestamp", ""))
            return _failure_of_run(cluster, rollout, last)
        return Failure(_crashes(cluster, rollout, 0) or rollout.message, rollout.is_inconclusive)
    crashes = _crashes(cluster, rollout, max_restarts) if not rollout.is_healthy else ""
    return Failure(crashes) if crashes else None


def _failure_of_run(cluster: Cluster, rollout: Rollout, run: Object) -> Failure:
    status, share = run["status"], rollout.share_at(run)
    told = [
        _failure_of_metric(cluster, result)
        for result in status.get("metricResults", [])
        if result["phase"] in _ENDED_BADLY
    ]
    reasons = "; ".join(one.reason for one in told) or status.get("message") or rollout.message
    where = f"at {share} % of the requests: " if share else ""
    # One that failed says more than one that could not tell.
    return Failure(where + reasons, bool(told) and all(one.is_inconclusive for one in told))


def _failure_of_metric(cluster: Cluster, result: Object) -> Failure:
    """The words for a metric of ``manifests/``'s AnalysisTemplates, and for any other."""
    name, phase = result["name"], result["phase"]
    measured = (result.get("measurements") or [{}])[-1]
    if job := measured.get("metadata", {}).get("job-name"):
        for pod in reversed(cluster.pods(f"batch.kubernetes.io/job-name={job}")):
            for _, container in _containers(pod):
                ended = container.get("state", {}).get("terminated")
                if ended and (said := _last_words(ended)):
                    return Failure(said, ended.get("exitCode") == TRY_AGAIN)
    value = str(measured.get("value", "")).strip("[]")
    match name, phase:
        case "failed-edits" | "request-time", "Inconclusive":
            return Failure(f"too few requests came to tell ({name})", is_inconclusive=True)
        case "failed-edits", "Failed":
            more = f"{float(value):.1%}"
            return Failure(f"{more} more of its edits failed than of the served version's")
        case "request-time", "Failed":
            times = f"{float(value):.2f}"
            return Failure(f"a request takes {times} times as long as with the served version")
    message = measured.get("message") or result.get("message") or value or "no reason given"
    return Failure(f"{name} {phase.lower()}: {message}", phase != "Failed")


def _crashes(cluster: Cluster, rollout: Rollout, max_restarts: int) -> str:
    """What containers of its template's pods ended with, once one has ended so often."""
    complaints, is_over = [], False
    for pod in cluster.pods(f"{POD_HASH}={rollout.pod_hash}") if rollout.pod_hash else []:
        for name, container in _containers(pod):
            state, last = container.get("state", {}), container.get("lastState", {})
            ended = state.get("terminated") or last.get("terminated") or {}
            waiting = state.get("waiting") or {}
            why = _last_words(ended) if ended.get("exitCode") else waiting.get("message", "")
            if not why:
                continue
            restarts = container.get("restartCount", 0)
            is_over = is_over or restarts >= max_restarts
            times = f", {restarts} times" if restarts else ""
            reason = f"{waiting['reason']}: " if waiting.get("reason") else ""
            complaints.append(f"{pod['metadata']['name']}, {name}: {reason}{why}{times}")
    return "; ".join(complaints) if is_over else ""


def _containers(pod: Object) -> list[tuple[str, Object]]:
    status = pod.get("status", {})
    groups = ("initContainerStatuses", "containerStatuses")
    return [(one["name"], one) for group in groups for one in status.get(group) or []]


def _last_words(ended: Object) -> str:
    """Our commands say why they end in a line of its own; of others, the end of the log."""
    lines = [line.strip() for line in str(ended.get("message") or "").splitlines() if line.strip()]
    errors = [line.removeprefix("error: ") for line in lines if line.startswith("error: ")]
    said = errors[-1] if errors else " ".join(lines)
    return said or f"ended with status {ended.get('exitCode')}"
