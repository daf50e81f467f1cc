"""Where requests go: the Service that clients ask, and a GRPCRoute while a version gets a share."""

import datetime
import math
from collections.abc import Sequence

from spatialreward.ops.deployer.kubernetes.api import ROUTE, SERVICE, Api, Object
from spatialreward.ops.deployer.kubernetes.template import VERSION_LABEL, version_name
from spatialreward.ops.deployment.errors import NothingKnown

NOBODY = "none"
"""Value of the selector's version while no version is good yet."""
SERVED_BEFORE = "spatialreward.dev/served-versions"
"""Annotation of the Service: versions that were served, the last one first."""
SWITCHED_AT = "spatialreward.dev/switched-at"
"""Annotation of the Service: when requests were brought to the version that it selects."""
_GRPC_PORT = 8001
_MOST_REMEMBERED = 20


class Traffic:
    """The Service and the route of one judge."""

    def __init__(self, api: Api, service: str, route: str | None) -> None:
        """Change nothing yet.

        Args:
            api: of their namespace.
            service: name of the Service that clients ask.
            route: name of the GRPCRoute; None: there is none.
        """
        self._api = api
        self._service = service
        self._route = route

    @property
    def can_be_shared(self) -> bool:
        """Whether two versions can be asked at the same time."""
        return self._route is not None

    def served(self) -> int | None:
        """The version that the Service selects; None: none.

        Where a manifest was applied over the selector, it is the one that it selected last.

        Raises:
            NothingKnown: there is no such Service.
            DeploymentError: the cluster cannot be asked.
        """
        version = self._selector().get(VERSION_LABEL)
        if version is None:
            return next(iter(self.served_before()), None)
        return int(version) if version.isdigit() else None

    def served_before(self) -> list[int]:
        """Versions that were served, the last one first.

        Raises:
            NothingKnown, DeploymentError: as ``served``.
        """
        told = self._annotations().get(SERVED_BEFORE, "")
        return [int(one) for one in told.split(",") if one.isdigit()]

    def seconds_since_switch(self) -> float:
        """How long requests have been brought to the version that is served.

        Raises:
            NothingKnown, DeploymentError: as ``served``.
        """
        told = self._annotations().get(SWITCHED_AT)
        if told is None:
            return math.inf
        return (_now() - datetime.datetime.fromisoformat(told)).total_seconds()

    def hold_back(self) -> None:
        """Have the Service select whom it selected last, or nobody, unless it selects a version.

        Without a version in its selector it would bring requests to whoever is being tried.

        Raises:
            NothingKnown, DeploymentError: as ``served``.
        """
        if VERSION_LABEL not in self._selector():
            history = self.served_before()
            self._select(str(history[0]) if history else NOBODY, history)

    def switch(self, version: int) -> None:
        """Bring all requests to a version.

        Raises:
            NothingKnown, DeploymentError: as ``served``.
        """
        before = [one for one in self.served_before() if one != version]
        self._select(str(version), [version, *before][:_MOST_REMEMBERED])
        self.together()

    def leave(self, version: int, old: int | None) -> None:
        """Bring all requests from a version that is no good to the old one; None: to nobody.

        Raises:
            NothingKnown, DeploymentError: as ``served``.
        """
        if self.served() == version:
            others = [one for one in self.served_before() if one not in (version, old)]
            kept = others if old is None else [old, *others]
            self._select(NOBODY if old is None else str(old), kept)
        self.together()

    def together(self) -> None:
        """Have the route bring all requests to the Service, as its manifest says.

        Raises:
            DeploymentError: the cluster does not take it.
        """
        if self._route is not None:
            self._write_rules([_backend(self._service)])

    def shadow(self, old: int, new: int) -> None:
        """Have the old version answer everything, and the new one get a copy of it.

        Raises:
            DeploymentError: the cluster does not take it.
        """
        copied = _backend(version_name(self._service, new))
        mirror = {"type": "RequestMirror", "requestMirror": {"backendRef": copied}}
        self._write_rules([_backend(version_name(self._service, old))], [mirror])

    def share(self, old: int, new: int, percent: int) -> None:
        """Have the new version answer so many of 100 requests, the old one the others.

        Raises:
            DeploymentError: the cluster does not take it.
        """
        weights = {old: 100 - percent, new: percent}
        self._write_rules(
            [
                {**_backend(version_name(self._service, version)), "weight": weight}
                for version, weight in weights.items()
            ]
        )

    def _found(self) -> Object:
        found = self._api.get(SERVICE, self._service)
        if found is None:
            raise NothingKnown(
                f"Service {self._service}: is not in namespace {self._api.namespace}, "
                "apply the manifests first"
            )
        return found

    def _annotations(self) -> dict[str, str]:
        return self._found()["metadata"].get("annotations", {})

    def _selector(self) -> dict[str, str]:
        return dict(self._found()["spec"].get("selector", {}))

    def _select(self, version: str, history: Sequence[int]) -> None:
        # A selector is replaced as a whole, so what the manifest says of it is said again.
        selector = self._selector() | {VERSION_LABEL: version}
        self._api.apply(
            {
                "apiVersion": SERVICE.api_version,
                "kind": SERVICE.name,
                "metadata": {
                    "name": self._service,
                    "annotations": {
                        SERVED_BEFORE: ",".join(map(str, history)),
                        SWITCHED_AT: _now().isoformat(timespec="seconds"),
                    },
                },
                "spec": {"selector": selector},
            }
        )

    def _write_rules(self, backends: list[Object], filters: Sequence[Object] = ()) -> None:
        rule: Object = {"backendRefs": backends}
        if filters:
            rule["filters"] = list(filters)
        self._api.apply(
            {
                "apiVersion": ROUTE.api_version,
                "kind": ROUTE.name,
                "metadata": {"name": self._route},
                "spec": {"rules": [rule]},
            }
        )


def _backend(service: str) -> Object:
    return {"name": service, "port": _GRPC_PORT}


def _now() -> datetime.datetime:
    return datetime.datetime.now(datetime.UTC)
