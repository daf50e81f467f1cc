"""The cluster's API as a deployer uses it: any kind of object, by server-side apply."""

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple, Self

from spatialreward.errors import InvalidInputError
from spatialreward.ops.deployer.kubernetes.errors import ClusterAway, ClusterRefused

if TYPE_CHECKING:
    from kubernetes.client import ApiClient

Object = dict[str, Any]
"""As in its YAML."""

FIELD_MANAGER = "spatialreward-deployer"
NOT_FOUND, CONFLICT = 404, 409
_NOBODYS_FAULT = frozenset({401, 403, 429})
_TIMEOUT_S = 30.0
_APPLY = "application/apply-patch+yaml"


class Kind(NamedTuple):
    """A kind of object, such as ``apps/v1`` and ``Deployment``."""

    api_version: str
    name: str

    @classmethod
    def of(cls, document: Object) -> Self:
        """The kind that a document says it is."""
        return cls(document["apiVersion"], document["kind"])


DEPLOYMENT = Kind("apps/v1", "Deployment")
SERVICE = Kind("v1", "Service")
POD = Kind("v1", "Pod")
LEASE = Kind("coordination.k8s.io/v1", "Lease")
ROUTE = Kind("gateway.networking.k8s.io/v1", "GRPCRoute")


class Api:
    """One namespace of a cluster."""

    def __init__(self, client: "ApiClient", namespace: str) -> None:
        """Ask nothing yet."""
        self._client = client
        self.namespace = namespace
        self._plurals: dict[Kind, str] = {}

    @classmethod
    def from_environment(cls, namespace: str) -> Self:
        """The cluster that this pod runs in, or the one that ``KUBECONFIG`` names.

        Raises:
            InvalidInputError: there is neither.
        """
        from kubernetes import client, config

        settings = client.Configuration()
        try:
            try:
                config.load_incluster_config(client_configuration=settings)
            except config.ConfigException:
                config.load_kube_config(client_configuration=settings)
        except config.ConfigException as error:
            raise InvalidInputError(f"deployer: no cluster: {error}") from error
        settings.retries = False
        return cls(client.ApiClient(settings), namespace)

    def apply(self, document: Object) -> Object:
        """Have an object be as a document says, in the fields that it says; returns all of it.

        Raises:
            ClusterRefused: the cluster does not take it.
            ClusterAway: it does not answer.
        """
        name = document["metadata"]["name"]
        # Without force the fields of a manifest that was applied by hand would stay its own.
        query = {"fieldManager": FIELD_MANAGER, "force": "true"}
        return self._ask(
            "PATCH", Kind.of(document), name, document, query, {"Content-Type": _APPLY}
        )

    def get(self, kind: Kind, name: str) -> Object | None:
        """An object; None where there is none of that name.

        Raises:
            ClusterRefused, ClusterAway: as ``apply``.
        """
        try:
            return self._ask("GET", kind, name)
        except ClusterRefused as error:
            if error.status == NOT_FOUND:
                return None
            raise

    def list(self, kind: Kind, labels: Mapping[str, str]) -> list[Object]:
        """All objects with these labels.

        Raises:
            ClusterRefused, ClusterAway: as ``apply``.
        """
        selector = ",".join(f"{label}={value}" for label, value in labels.items())
        return self._ask("GET", kind, None, query={"labelSelector": selector})["items"]

    def delete(self, kind: Kind, name: str) -> None:
        """Remove an object and what it owns; one that is not there is no error.

        Raises:
            ClusterRefused, ClusterAway: as ``apply``.
        """
        try:
            self._ask("DELETE", kind, name, query={"propagationPolicy": "Background"})
        except ClusterRefused as error:
            if error.status != NOT_FOUND:
                raise

    def create(self, document: Object) -> Object:
        """Make an object that must not be there yet.

        Raises:
            ClusterRefused: it is, with status 409, or the cluster does not take it.
            ClusterAway: the cluster does not answer.
        """
        return self._ask("POST", Kind.of(document), None, document)

    def replace(self, document: Object) -> Object:
        """Write an object that nobody else has written since it was read.

        Raises:
            ClusterRefused: somebody has, with status 409, or the cluster does not take it.
            ClusterAway: the cluster does not answer.
        """
        return self._ask("PUT", Kind.of(document), document["metadata"]["name"], document)

    def _ask(
        self,
        method: str,
        kind: Kind,
        name: str | None,
        body: Object | None = None,
        query: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Any:
        path = f"{_root(kind)}/namespaces/{self.namespace}/{self._plural(kind)}"
        what = f"{kind.name} {name or 'list'}"
        return self._call(method, f"{path}/{name}" if name else path, what, body, query, headers)

    def _plural(self, kind: Kind) -> str:
        """The kind's name in addresses, as the cluster tells it."""
        if kind not in self._plurals:
            told = self._call("GET", _root(kind), f"kinds of {kind.api_version}")
            for resource in told["resources"]:
                if "/" not in resource["name"]:
                    known = Kind(kind.api_version, resource["kind"])
                    self._plurals[known] = resource["name"]
        if kind not in self._plurals:
            raise ClusterRefused(
                f"{kind.name}: the cluster has no such kind in {kind.api_version}", NOT_FOUND
            )
        return self._plurals[kind]

    def _call(
        self,
        method: str,
        path: str,
        what: str,
        body: Object | None = None,
        query: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Any:
        from kubernetes.client import ApiException
        from urllib3.exceptions import HTTPError

        sent = {"Accept": "application/json", "Content-Type": "application/json"}
        try:
            response = self._client.call_api(
                path,
                method,
                query_params=list((query or {}).items()),
                header_params=sent | dict(headers or {}),
                body=body,
                auth_settings=["BearerToken"],
                _preload_content=False,
                _return_http_data_only=True,
                _request_timeout=_TIMEOUT_S,
            )
            return json.loads(response.data)
        except ApiException as error:
            told = f"{what}: {_reason(error)}"
            status = error.status or 0
            if status in _NOBODYS_FAULT or status >= 500:
                raise ClusterAway(told) from error
            raise ClusterRefused(told, status) from error
        except (HTTPError, OSError, ValueError) as error:
            raise ClusterAway(f"the cluster's API does not answer: {what}: {error}") from error


def _root(kind: Kind) -> str:
    group = "apis" if "/" in kind.api_version else "api"
    return f"/{group}/{kind.api_version}"


def _reason(error: Any) -> str:
    """What the API says about a refusal."""
    try:
        return str(json.loads(error.body)["message"])
    except (ValueError, KeyError, TypeError):
        return f"status {error.status} {error.reason}"
