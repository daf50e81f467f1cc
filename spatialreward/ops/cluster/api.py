"""The calls that the project makes to a Kubernetes API: custom objects, pods, and pods' logs.

The client ``kubernetes`` raises one error for every refusal. Callers act differently on an object
that exists already, one that is missing, and a server that does not answer, so each is told apart.
"""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Self, TypeVar

from spatialreward.errors import SpatialRewardError

if TYPE_CHECKING:
    from kubernetes.client import ApiClient

Object = dict[str, Any]
"""A Kubernetes object as in its YAML."""

_SERVICE_ACCOUNT_NAMESPACE = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")
_NOT_FOUND, _CONFLICT = 404, 409
_PASSES_BY_ITSELF = frozenset({429, 500, 502, 503, 504})
_TIMEOUT_S = (5, 30)

Answer = TypeVar("Answer")


class Resource(NamedTuple):
    """A kind of custom object."""

    group: str
    version: str
    plural: str
    kind: str


class ClusterError(SpatialRewardError, RuntimeError):
    """The cluster's API does not do what was asked; the message names the object."""

    def __init__(self, message: str, status: int | None = None) -> None:
        """Keep the status of the API's answer, if there was one."""
        super().__init__(message)
        self.status = status


class NoCluster(ClusterError):
    """Neither a pod's service account nor ``KUBECONFIG`` names a cluster."""


class ClusterUnavailable(ClusterError):
    """The API does not answer at the moment, or says that it cannot."""


class Cluster:
    """A Kubernetes API, and the namespace to work in.

    Every method that asks the API raises ``ClusterUnavailable`` when it does not answer, and
    ``ClusterError`` when it refuses.
    """

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
            # The error's text may quote the file, which holds credentials.
            raise NoCluster("which cluster? the kubeconfig is no YAML") from error
        # Callers decide how often to ask.
        settings.retries = False
        return cls(client.ApiClient(settings), namespace or found or "default")

    def create(self, resource: Resource, document: Object) -> bool:
        """Create an object; False when one of its name exists."""
        try:
            self._call(
                self._name_of(resource, document["metadata"]["name"]),
                lambda: self._objects.create_namespaced_custom_object(
                    *self._address(resource), body=document, _request_timeout=_TIMEOUT_S
                ),
            )
        except ClusterError as error:
            if error.status == _CONFLICT:
                return False
            raise
        return True

    def get(self, resource: Resource, name: str) -> Object | None:
        """An object; None when there is none of that name."""
        return self._unless_missing(
            self._name_of(resource, name),
            lambda: self._objects.get_namespaced_custom_object(
                *self._address(resource), name, _request_timeout=_TIMEOUT_S
            ),
        )

    def find(self, resource: Resource, selector: str) -> list[Object]:
        """Objects with certain labels; none where the cluster does not know the kind."""
        found = self._unless_missing(
            f"{resource.plural} {selector} in {self.namespace}",
            lambda: self._objects.list_namespaced_custom_object(
                *self._address(resource), label_selector=selector, _request_timeout=_TIMEOUT_S
            ),
        )
        return found["items"] if found else []

    def patch(self, resource: Resource, name: str, changes: Object) -> None:
        """Merge changes into an object (RFC 7386: None removes a field, a list is replaced)."""
        self._call(
            self._name_of(resource, name),
            lambda: self._objects.patch_namespaced_custom_object(
                *self._address(resource), name, changes, _request_timeout=_TIMEOUT_S
            ),
        )

    def patch_status(self, resource: Resource, name: str, changes: Object) -> None:
        """Merge changes into an object's status."""
        self._call(
            self._name_of(resource, name),
            lambda: self._objects.patch_namespaced_custom_object_status(
                *self._address(resource), name, {"status": changes}, _request_timeout=_TIMEOUT_S
            ),
        )

    def delete(self, resource: Resource, name: str) -> None:
        """Delete an object with all that it owns; a missing one is no error."""
        self._unless_missing(
            self._name_of(resource, name),
            lambda: self._objects.delete_namespaced_custom_object(
                *self._address(resource),
                name,
                propagation_policy="Background",
                _request_timeout=_TIMEOUT_S,
            ),
        )

    def pods(self, selector: str) -> list[Object]:
        """Pods with certain labels, oldest first."""
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
            since_s: only lines of the last so many seconds; None: all.
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
            # The rest may be half a line: the next reading returns all of it.
            raise ClusterUnavailable(f"{where}: {error}") from error
        finally:
            response.release_conn()
        if rest:
            yield rest.decode(errors="replace")

    def _address(self, resource: Resource) -> tuple[str, str, str, str]:
        return resource.group, resource.version, self.namespace, resource.plural

    def _name_of(self, resource: Resource, name: str) -> str:
        return f"{resource.kind} {self.namespace}/{name}"

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
    """The server's own words, without the headers that the client puts around them."""
    import json

    try:
        return str(json.loads(error.body)["message"])
    except (TypeError, ValueError, KeyError):
        return str(error.reason)
