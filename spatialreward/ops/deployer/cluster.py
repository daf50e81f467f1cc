"""Serves in a cluster: sets the version of a Rollout, and follows what Argo Rollouts makes of it.

All state is in the cluster: the pod template says which version is tried, an annotation which one
is served. Every call looks once and returns, so a killed deployer is continued by the next look.
"""

import logging
from collections.abc import Callable

from spatialreward.ops.cluster.api import Cluster, Object
from spatialreward.ops.deployer.backends import Progress, Served
from spatialreward.ops.deployer.config import KubernetesBackend
from spatialreward.ops.deployer.rollout import (
    AT_ONCE,
    ROLLOUT,
    SERVED,
    Rollout,
    failure_of,
    template_of,
)
from spatialreward.ops.deployment.errors import (
    DeploymentError,
    NothingKnown,
    TrialFailed,
    TrialInconclusive,
)
from spatialreward.ops.deployment.smoke import SmokeEdits, check_answers
from spatialreward.ops.registry import ModelVersion

logger = logging.getLogger(__name__)


class ClusterServing:
    """See ``backends.Backend``."""

    def __init__(
        self,
        config: KubernetesBackend,
        name: str,
        smoke_edits: SmokeEdits,
        cluster: Cluster | None = None,
    ) -> None:
        """Serve versions of a registered model in the namespace that the configuration names.

        Raises:
            NoCluster: no cluster is configured.
        """
        self._config = config
        self._name = name
        self._smoke_edits = smoke_edits
        self._cluster = cluster or Cluster.from_environment(config.namespace)

    def served(self) -> Served | None:
        """See ``Backend``."""
        version = self._rollout().served
        return None if version is None else self._as_served(version)

    def keep(self, served: Served) -> bool:
        """See ``Backend``: Argo Rollouts brings pods back, so there is only to look at them."""
        rollout = self._rollout()
        if not rollout.available:
            raise DeploymentError(
                f"version {served.version} does not answer: no pod of Rollout "
                f"{self._config.rollout} is available ({rollout.progress})"
            )
        return False

    def tidy(self, served: Served | None) -> None:
        """See ``Backend``: a template with another version was left, or edited by hand."""
        rollout = self._rollout()
        model = ModelVersion(self._name, served.version) if served else None
        if rollout.model_uri != (model.uri if model else ""):
            logger.warning("Rollout %s runs %s: undone", self._config.rollout, rollout.model_uri)
            self._set(model, at_once=True)
        elif rollout.at_once:
            self._skip_steps(rollout)
            if rollout.is_seen and rollout.is_promoted:
                self._patch({"metadata": {"annotations": {AT_ONCE: None}}})

    def deploy(
        self, model: ModelVersion, check: Callable[[], None], *, is_return: bool = False
    ) -> Served | Progress:
        """See ``Backend``.

        Argo Rollouts analyses a version beside the served one. It analyses neither the first
        version nor one that takes all requests at once, so those are asked the smoke edits here.
        """
        rollout = self._rollout()
        if rollout.model_uri != model.uri or rollout.has_no_replicas:
            check()
            # A first version has none beside it whose requests could be shared.
            self._set(model, at_once=is_return or rollout.served is None, rollout=rollout)
            return Progress("its pods are started")
        if not rollout.is_seen:
            return Progress("Argo Rollouts has not seen it yet")
        if rollout.is_invalid:
            raise NothingKnown(f"Rollout {self._config.rollout}: {rollout.message}")
        if rollout.at_once and self._skip_steps(rollout):
            return Progress("it takes all requests as soon as it is ready")
        try:
            self._check(rollout, model)
        except NothingKnown:
            raise
        except DeploymentError:
            before = rollout.served
            self._set(ModelVersion(self._name, before) if before else None, at_once=True)
            raise
        if not rollout.is_healthy:
            return Progress(rollout.progress)
        self._patch({"metadata": {"annotations": {SERVED: str(model.version), AT_ONCE: None}}})
        return self._as_served(model.version)

    def _check(self, rollout: Rollout, model: ModelVersion) -> None:
        """Make sure that nothing speaks against a version; once it is healthy, that it answers.

        Raises:
            TrialFailed, TrialInconclusive, DeploymentError: something does.
        """
        failure = failure_of(self._cluster, rollout, self._config.max_restarts)
        if failure and failure.is_inconclusive:
            raise TrialInconclusive(f"version {model.version}: inconclusive: {failure.reason}")
        if failure:
            raise TrialFailed(f"version {model.version}: {failure.reason}")
        if rollout.is_healthy:
            edits = self._smoke_edits if rollout.at_once else {}
            address = self._config.address.format(namespace=self._config.namespace)
            check_answers(address, self._config.model, model.version, edits)

    def _skip_steps(self, rollout: Rollout) -> bool:
        """Have Argo Rollouts promote without its steps; False: it does, or has."""
        if not rollout.is_seen or rollout.is_promoted or rollout.promotes_at_once:
            return False
        self._cluster.patch_status(ROLLOUT, self._config.rollout, {"promoteFull": True})
        return True

    def _set(
        self, model: ModelVersion | None, *, at_once: bool, rollout: Rollout | None = None
    ) -> None:
        changes = template_of(model)
        changes["metadata"]["annotations"] = {AT_ONCE: "true" if at_once else None}
        if rollout and rollout.has_no_replicas:
            changes["spec"]["replicas"] = 1
        self._patch(changes)

    def _patch(self, changes: Object) -> None:
        self._cluster.patch(ROLLOUT, self._config.rollout, changes)

    def _rollout(self) -> Rollout:
        found = self._cluster.get(ROLLOUT, self._config.rollout)
        if found is None:
            raise NothingKnown(
                f"Rollout {self._config.rollout}: is not in namespace {self._config.namespace}, "
                "apply the manifests, and install Argo Rollouts"
            )
        return Rollout(found)

    def _as_served(self, version: int) -> Served:
        return Served(version, f"{self._config.model}/{version}")
