"""A Kubernetes API with one Rollout, and the part that Argo Rollouts plays in it.

It merges patches as the real API does, and counts generations. What the controller would come to,
a test says: ``see``, ``promote``, ``abort``, ``pause``.
"""

import re

from spatialreward.ops.deployer.rollout import POD_HASH, VERSION_LABEL
from tests.manifests.cluster import merged
from tests.ops.cluster.api_server import ApiServer, _chosen, _missing, _status

_ROLLOUT = re.compile(r"/apis/argoproj\.io/v1alpha1/namespaces/\w+/rollouts/judge(/status)?")


class Argo(ApiServer):
    """The cluster's state, and its controller."""

    def __init__(self):
        super().__init__()
        self.runs = []
        self.patches = []
        """What was written: of the Rollout, and of its status."""
        self.refusal = None
        """Status and message of the answers to the next patches."""
        self.rollout = {
            "apiVersion": "argoproj.io/v1alpha1",
            "kind": "Rollout",
            "metadata": {"name": "judge", "generation": 1},
            "spec": {
                "strategy": {"canary": {"steps": [{"setWeight": 0}, {"setWeight": 25}]}},
                "template": {"metadata": {"labels": {"app.kubernetes.io/name": "judge"}}},
            },
        }
        # The pods without a model became the stable ones, as it does with the first pods.
        self.see()
        self.status["stableRS"] = self.status["currentPodHash"]

    @property
    def status(self):
        return self.rollout.setdefault("status", {})

    @property
    def version(self):
        """The version in the pod template."""
        return self.rollout["spec"]["template"]["metadata"].get("labels", {}).get(VERSION_LABEL)

    def see(self):
        """Look at the Rollout: begin an update, or return to the pods that serve."""
        now = self.status.get("currentPodHash"), f"hash{self.version or 0}"
        self.status["observedGeneration"] = str(self.rollout["metadata"]["generation"])
        if now[0] == now[1]:
            return
        self.status.update(currentPodHash=now[1], phase="Progressing", message="more replicas")
        for field in ("abort", "promoteFull", "pauseConditions"):
            self.status.pop(field, None)
        if now[1] == self.status.get("stableRS"):
            self.promote()

    def promote(self):
        """All steps are done, and all pods are ready."""
        self.see()
        self.status.update(
            stableRS=self.status["currentPodHash"], phase="Healthy", message="", availableReplicas=1
        )
        self.status.pop("promoteFull", None)

    def abort(self, message="Rollout aborted update to revision 2"):
        self.see()
        self.status.update(abort=True, phase="Degraded", message=f"RolloutAborted: {message}")

    def pause(self, reason="InconclusiveAnalysisRun"):
        self.see()
        pauses = [{"reason": reason, "startTime": "2026-11-25T12:00:00Z"}]
        self.status.update(pauseConditions=pauses, phase="Paused", message=reason)

    def analyse(self, phase, *results, step=None, at="2026-11-25T12:00:00Z"):
        """An AnalysisRun of the version that is tried."""
        labels = {POD_HASH: f"hash{self.version}"} | ({"step-index": str(step)} if step else {})
        self.runs.append(
            {
                "metadata": {
                    "name": f"run-{len(self.runs)}",
                    "creationTimestamp": at,
                    "labels": labels,
                },
                "status": {"phase": phase, "metricResults": list(results)},
            }
        )

    def pod(self, name, labels, **container):
        """A pod whose one container is at something."""
        told = {"name": "check", "image": "i", "imageID": "i", "ready": False, "restartCount": 0}
        self.pods[name] = {
            "metadata": {"name": name, "labels": labels},
            "spec": {"containers": [{"name": "check"}]},
            "status": {"phase": "Running", "containerStatuses": [told | container]},
        }

    def answer(self, method, path, query, body):
        if found := _ROLLOUT.fullmatch(path):
            if self.rollout is None:
                return _missing("judge")
            if method == "PATCH":
                return self._patch(body, of_status=bool(found[1]))
            return 200, self.rollout
        if path.endswith("/analysisruns"):
            return 200, {"items": [one for one in self.runs if _chosen(one, query)]}
        if path.endswith("/pods"):
            chosen = [one for one in self.pods.values() if _chosen(one, query)]
            return 200, {"kind": "PodList", "items": chosen}
        return super().answer(method, path, query, body)

    def _patch(self, changes, *, of_status):
        if self.refusal:
            status, message = self.refusal
            return status, _status(status, message)
        self.patches.append(changes)
        before = self.rollout["spec"]
        # A patch of the status changes nothing else, and one of the rest not the status.
        parts = ("status",) if of_status else ("metadata", "spec")
        taken = {part: changes[part] for part in parts if part in changes}
        self.rollout = merged(self.rollout, taken)
        if self.rollout["spec"] != before:
            generation = self.rollout["metadata"]["generation"] + 1
            self.rollout = merged(self.rollout, {"metadata": {"generation": generation}})
        return 200, self.rollout


def metric(name, phase, value="", job=""):
    """A metric's result in an AnalysisRun."""
    measured = {"phase": phase, "value": value}
    if job:
        measured["metadata"] = {"job-name": job, "job-namespace": "judging"}
    return {"name": name, "phase": phase, "measurements": [measured]}
