"""Deploys a checkpoint as the next version of a served judge, and rolls back to the one before.

A version is tried out as a model of its own before the served model changes; until it answers, the
one before is served. Triton loads the new version beside the old one and retires the old one after
its last request. (A policy that names both for a while would have it load the old one once more.)
"""

import logging
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

from spatialreward.edits import Edit
from spatialreward.ops.deployment.errors import DeploymentError
from spatialreward.ops.deployment.folder import check_copy
from spatialreward.ops.deployment.site import Candidate, Site, Trial
from spatialreward.ops.deployment.smoke import SmokeEdits

logger = logging.getLogger(__name__)

KEEP_VERSIONS = 3
_NO_EDITS: Mapping[str, Edit] = MappingProxyType({})


def deploy(
    checkpoint: Path,
    *,
    template: Path,
    repository: Path,
    endpoint: str,
    key: str = "",
    model: str = "judge",
    source: str = "",
    smoke_edits: SmokeEdits = _NO_EDITS,
    keep: int = KEEP_VERSIONS,
    trial: Trial | None = None,
) -> int:
    """Serve a checkpoint as the next version of a model; returns the version.

    Args:
        checkpoint: the judge's folder, with protocol and card.
        template: folder with the model's ``config.pbtxt`` and ``1/model.py``.
        repository: Triton's model repository, as this process sees it.
        endpoint: Triton's gRPC address, ``host:port``.
        key: of a server whose model-repository API is restricted.
        model: name to serve under.
        source: where the checkpoint came from, for the history; by default its folder.
        smoke_edits: edits that the version must judge, first as a staged copy and then as served.
        keep: how many versions stay on disk; the served one and the one that a rollback returns to
            always do.
        trial: looks at the staged version, beside the served one, before it is switched to.

    Raises:
        InvalidInputError: the checkpoint cannot judge, the template is incomplete, or there is no
            such repository.
        DeploymentError: another deployment is under way, the server did not load the version, or
            it does not answer; what was served before is served still.
    """
    candidate = Candidate.check(checkpoint, template, source)
    with Site.open(repository, endpoint, model, key) as site:
        return site.add(candidate, smoke_edits, keep, trial)


def deploy_once(
    checkpoint: Path,
    *,
    template: Path,
    repository: Path,
    endpoint: str,
    key: str = "",
    model: str = "judge",
    source: str = "",
) -> int:
    """As ``deploy``, but a checkpoint that is the served version already is only loaded.

    So a step that is done again, or a server that was started again, needs no second copy.

    Raises:
        InvalidInputError, DeploymentError: as ``deploy``.
    """
    candidate = Candidate.check(checkpoint, template, source)
    with Site.open(repository, endpoint, model, key) as site:
        served = site.history.served
        if served is None or not site.holds(candidate, served):
            return site.add(candidate, _NO_EDITS, KEEP_VERSIONS)
        if site.server.ready_versions(model) != [served]:
            site.server.load(model)
        site.check_served(served, _NO_EDITS)
        logger.info("%s version %d is served at %s, as before", model, served, endpoint)
        return served


def load_again(*, repository: Path, endpoint: str, key: str = "", model: str = "judge") -> bool:
    """Have a server that was started again load the version that was served last.

    Returns:
        False: it was loaded already, or nothing was ever served.

    Raises:
        InvalidInputError: there is no such repository.
        DeploymentError: another deployment is under way, or the server does not load it.
    """
    with Site.open(repository, endpoint, model, key) as site:
        served = site.history.served
        if served is None or site.server.ready_versions(model) == [served]:
            return False
        site.server.load(model)
        site.check_served(served, _NO_EDITS)
        logger.info("%s version %d is served at %s again", model, served, endpoint)
        return True


def rollback(
    *,
    repository: Path,
    endpoint: str,
    key: str = "",
    model: str = "judge",
    smoke_edits: SmokeEdits = _NO_EDITS,
) -> int:
    """Serve the last good version besides the served one again; returns the version.

    The version that is left is withdrawn: a later rollback does not return to it.

    Raises:
        InvalidInputError: there is no such repository.
        DeploymentError: no good version is left, its files have changed, or the server does not
            load it; what was served before is served still.
    """
    with Site.open(repository, endpoint, model, key) as site:
        target = site.history.rollback_target
        if target is None:
            raise DeploymentError(f"{model}: {repository} holds no version to roll back to")
        check_copy(site.folder.checkpoint(target.version), target.sha256)
        site.return_to(target.version, smoke_edits)
        logger.info("%s is back at version %d (%s)", model, target.version, target.source)
        return target.version
