"""The versions that the cluster holds besides the served one: kept without servers, or removed."""

import logging
from collections.abc import Sequence

from spatialreward.ops.deployer.kubernetes.api import Api, Object
from spatialreward.ops.deployer.kubernetes.template import (
    VERSION_LABEL,
    asleep,
    documents_of,
    kinds_of,
    version_name,
)
from spatialreward.ops.registry import ModelVersion

logger = logging.getLogger(__name__)

_NAME_LABEL = "app.kubernetes.io/name"


class Versions:
    """All objects that were made of a template."""

    def __init__(
        self, api: Api, template: list[Object], service: str, name: str, keep: int
    ) -> None:
        """Change nothing yet.

        Args:
            api: of their namespace.
            template: what every version is made of.
            service: what versions are named after.
            name: the registered model.
            keep: how many versions that were served are kept to return to.
        """
        self._api = api
        self._template = template
        self._service = service
        self._name = name
        self._keep = keep

    def retire(self, served: int | None, served_before: Sequence[int]) -> None:
        """Take the servers from the versions that were served last, and remove all others.

        Raises:
            DeploymentError: the cluster does not do it.
        """
        kept = [one for one in served_before if one != served][: self._keep]
        for version in sorted(self.present() - {served}):
            if version in kept:
                self._put_to_sleep(version)
            else:
                self.remove(version)

    def present(self) -> set[int]:
        """The versions of which there are objects.

        Raises:
            DeploymentError: the cluster cannot be asked.
        """
        found = set()
        for kind in kinds_of(self._template):
            for one in self._api.list(kind, {_NAME_LABEL: self._service}):
                version = one["metadata"].get("labels", {}).get(VERSION_LABEL, "")
                ours = version.isdigit() and one["metadata"]["name"] == version_name(
                    self._service, int(version)
                )
                if ours:
                    found.add(int(version))
        return found

    def remove(self, version: int) -> None:
        """Remove all objects of a version.

        Raises:
            DeploymentError: the cluster does not do it.
        """
        for kind in kinds_of(self._template):
            self._api.delete(kind, version_name(self._service, version))
        logger.info("version %d was removed from the cluster", version)

    def _put_to_sleep(self, version: int) -> None:
        for document in documents_of(
            self._template, self._service, ModelVersion(self._name, version)
        ):
            sleeping = asleep(document)
            if sleeping is None:
                self.remove(version)
                return
            self._api.apply(sleeping)
