"""The few things that steps ask of a Kubernetes API: TrainJobs, their pods, and what those say.

Kubeflow's own client (``kubeflow`` 0.5) turns every answer of the server into a ``RuntimeError``:
"exists already", "is not there" and "does not answer" look alike, and following a job through them
depends on telling them apart. ``kubernetes`` tells, and comes with kfp in every image.
"""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, TypeVar

from spatialreward.errors import SpatialRewardError
from spatialreward.ops.cluster.train_job import RUN_LABEL

if TYPE_CHECKING:
    from kubernetes.client import ApiClient

_SERVICE_ACCOUNT_NAMESPACE = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")
_GROUP, _VERSION, _PLURAL = "trainer.kubeflow.org", "v1alpha1", "trainjobs"
_NOT_FOUND, _CONFLICT = 404, 409
_PASSES_BY_ITSELF = frozenset({429, 500, 502, 503, 504})
_TIMEOUT_S = (5, 30)

Answer = TypeVar("Answer")


class ClusterError(SpatialRewardError, RuntimeError):
    """The cluster's API does not do what was asked; the message names the object."""

    def __init__(self, message: str, status: int | None = None) -> None:
        """Keep the status of the API's answer, if there was one."""
        super().__init__(message)
        self.status = status


class NoCluster(ClusterError):
    """Nothing says which cluster to ask."""


class ClusterUnavailable(ClusterError):
    """The API does not answer at the moment, or says that it cannot."""


class Cluster:
    """A Kubernetes API, and the namespace to work in."""

    def __init__(self, client: "ApiClient", namespace: str) -> None:
        """Ask nothing yet."""
        from kubernetes.client import CoreV1Api, CustomObjectsApi

        self.namespace = namespace
        self.where = f"namespace {namespace} of {client.configuration.host}"
        self._objects = CustomObjectsApi(client)
        self._core = CoreV1Api(client)

    @classmethod
    def from_environment(cls, namespace: str = "") -> Self:
        """The cluster that this pod runs in, else the one that ``KUBECONFIG`` names.

        Args:
            namespace: to work in; the pod's, or that of the configuration, if there is none.

        Raises:
            NoCluster: there is neither, or what there is cannot be read.
        """
        try:
            import yaml
            from kubernetes import client, config
        except ModuleNotFoundError as error:
            raise NoCluster(f"which cluster? {error.name} is not installed") from error

        settings = client.Configuration()
        try:
            if _SERVICE_ACCOUNT_NAMESPACE.is_file():
                config.load_incluster_config(client_configuration=settings)
                found = _SERVICE_ACCOUNT_NAMESPACE.read_text().strip()
            else:
                config.load_kube_config(client_configuration=settings)
                found = config.list_kube_config_contexts()[1]["context"].get("namespace", "")
        except (config.ConfigException, OSError) as error:
            raise NoCluster(f"which cluster? {' '.join(str(error).split())}") from error
        except yaml.YAMLError as error:
            # What it says may quote the file.
            raise NoCluster("which cluster? the kubeconfig is no YAML") from error
        # Whoever asks decides how often.
        settings.retries = False
        return cls(client.ApiClient(settings), namespace or found or "default")

    def create_train_job(self, job: dict[str, Any]) -> bool:
        """Create a TrainJob; False when one of its name is there.

        Raises:
            ClusterUnavailable: the API does not answer.
            ClusterError: it refuses.
        """
        where = f"TrainJob {self.namespace}/{job['metadata']['name']}"
        try:
            self._call(
                where,
                lambda: self._objects.create_namespaced_custom_object(
                    *self._address(), body=job, _request_timeout=_TIMEOUT_S
                ),
            )
        except ClusterError as error:
            if error.status == _CONFLICT:
                return False
            raise
        return True

    def train_job(self, name: str) -> dict[str, Any] | None:
        """A TrainJob; None when there is none of that name.

        Raises:
            ClusterUnavailable: the API does not answer.
            ClusterError: it refuses.
        """
        return self._unless_missing(
            f"TrainJob {self.namespace}/{name}",
            lambda: self._objects.get_namespaced_custom_object(
                *self._address(), name, _request_timeout=_TIMEOUT_S
            ),
        )

    def delete_train_job(self, name: str) -> None:
        """Delete a TrainJob with all its pods; one that is not there is no error.

        Raises:
            ClusterUnavailable: the API does not answer.
            ClusterError: it refuses.
        """
        self._unless_missing(
            f"TrainJob {self.namespace}/{name}",
            lambda: self._objects.delete_namespaced_custom_object(
                *self._address(),
                name,
                propagation_policy="Background",
                _request_timeout=_TIMEOUT_S,
            ),
        )

    def delete_train_jobs(self, run: str) -> list[str]:
        """Delete all TrainJobs of a pipeline's run; returns their names.

        Args:
            run: the platform's id of it.

        Raises:
            ClusterUnavailable: the API does not answer.
            ClusterError: it refuses.
        """
        selector = f"{RUN_LABEL}={run}"
        found = self._unless_missing(
            f"TrainJobs {selector} in {self.namespace}",
            lambda: self._objects.list_namespaced_custom_object(
                *self._address(), label_selector=selector, _request_timeout=_TIMEOUT_S
            ),
        )
        # A cluster without Kubeflow Trainer has no such kind, and so no such object.
        names = [job["metadata"]["name"] for job in (found or {"items": []})["items"]]
        for name in names:
            self.delete_train_job(name)
        return names

    def pods(self, selector: str) -> list[dict[str, Any]]:
        """Pods with certain labels, oldest first.

        Raises:
            ClusterUnavailable: the API does not answer.
            ClusterError: it refuses.
        """
        listed = self._call(
            f"pods {selector} in {self.namespace}",
            lambda: self._core.list_namespaced_pod(
                self.namespace, label_selector=selector, _request_timeout=_TIMEOUT_S
            ),
        )
        plain = self._core.api_client.sanitize_for_serialization(listed)["items"]
        return sorted(plain, key=lambda pod: pod["metadata"].get("creationTimestamp", ""))

    def log(self, pod: str, container: str, since_s: int | None) -> Iterator[str]:
        """The lines of a container's log so far, each with its time in front.

        Args:
            pod: its name.
            container: one of its containers.
            since_s: only what is not older, in seconds; None: all.

        Raises:
            ClusterUnavailable: the API does not answer, or stops in the middle.
            ClusterError: it refuses.
        """
        import urllib3

        where = f"log of pod {self.namespace}/{pod}"
        since = {} if since_s is None else {"since_seconds": since_s}
        response = self._unless_missing(
            where,
            lambda: self._core.read_namespaced_pod_log(
                pod,
                self.namespace,
                container=container,
                timestamps=True,
                _preload_content=False,
                _request_timeout=_TIMEOUT_S,
                **since,
            ),
        )
        if response is None:
            return
        rest = b""
        try:
            for chunk in response.stream(1 << 16):
                *lines, rest = (rest + chunk).split(b"\n")
                yield from (line.decode(errors="replace") for line in lines)
        except urllib3.exceptions.HTTPError as error:
            # What is left may be half a line: it comes whole the next time.
            raise ClusterUnavailable(f"{where}: {error}") from error
        finally:
            response.release_conn()
        if rest:
            yield rest.decode(errors="replace")

    def _address(self) -> tuple[str, str, str, str]:
        return _GROUP, _VERSION, self.namespace, _PLURAL

    def _unless_missing(self, where: str, call: Callable[[], Answer]) -> Answer | None:
        try:
            return self._call(where, call)
        except ClusterError as error:
            if error.status == _NOT_FOUND:
                return None
            raise

    def _call(self, where: str, call: Callable[[], Answer]) -> Answer:
        import urllib3
        from kubernetes.client import ApiException

        try:
            return call()
        except ApiException as error:
            said = f"{where}: status {error.status}, {_message(error)}"
            passes = error.status in _PASSES_BY_ITSELF
            kind = ClusterUnavailable if passes else ClusterError
            raise kind(said, error.status) from error
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise ClusterUnavailable(f"{where}: no answer: {error}") from error


def _message(error: Any) -> str:
    """What the server says, without the headers that the client puts around it."""
    import json

    try:
        return str(json.loads(error.body)["message"])
    except (TypeError, ValueError, KeyError):
        return str(error.reason)
