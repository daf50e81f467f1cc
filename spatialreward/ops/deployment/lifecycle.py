"""Serves a checkpoint on one Triton server: try it out, switch to it, retire the version before.

``config.pbtxt`` in the repository names the served version and is written last. What else is staged
or loaded is left over from a deployment that failed or was killed, and the next one removes it, so
there is no journal. The registry knows which versions there are and which one is the champion.
"""

import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType

from filelock import FileLock, Timeout

from spatialreward.edits import Edit
from spatialreward.errors import SpatialRewardError
from spatialreward.ops.deployment.errors import DeploymentError, DeploymentUnderWay
from spatialreward.ops.deployment.repository import Candidate, ModelFolder
from spatialreward.ops.deployment.server import Server
from spatialreward.ops.deployment.smoke import SmokeEdits, check_answers

logger = logging.getLogger(__name__)

KEEP_VERSIONS = 3
LOCK_FILE = ".deployment.lock"
Trial = Callable[[str | None, str], None]
"""Called with the served model's name on the server, None where none is served, and the staged
one's; raises ``DeploymentError`` when the server must not switch to the staged one."""
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
    wait_s: float = 0.0,
) -> int:
    """Serve a checkpoint, without losing a request; returns Triton's number of the version.

    The number of ``models:/NAME/7`` is 7; another checkpoint gets the next free one. Deploying
    what is served already copies nothing: the server loads it if it was restarted.

    Args:
        checkpoint: the judge's folder, with protocol and card.
        template: folder with the model's ``config.pbtxt`` and ``1/model.py``.
        repository: Triton's model repository, as this process sees it.
        endpoint: Triton's gRPC address, ``host:port``.
        key: of a server whose model-repository API is restricted.
        model: name to serve under.
        source: where the checkpoint came from; by default its folder.
        smoke_edits: edits that the version must judge, first as a staged copy and then as served.
        keep: how many versions stay on disk, the served one among them.
        trial: looks at the staged version, beside the served one, before the server switches.
        wait_s: how long to wait for another deployment in this repository.

    Raises:
        InvalidInputError: the checkpoint cannot judge, the template is incomplete, or there is no
            such repository.
        DeploymentError: another deployment is under way, the server did not load the version, or
            it does not answer; the version that was served before is still served.
    """
    candidate = Candidate.check(checkpoint, template, source)
    with _opened(repository, endpoint, model, key, wait_s) as site:
        number, served = site.folder.number_of(candidate), site.folder.served()
        if number == served and site.folder.serves(candidate, number):
            site.load(number, smoke_edits)
            site.folder.note_origin(candidate, number)
            return number
        if number == served:
            # Triton cannot load two versions of one number: the new one moves aside first.
            aside = site.folder.free_number()
            site.replace(candidate, aside, smoke_edits, trial)
            site.replace(candidate, number, smoke_edits, None)
            site.folder.remove(aside)
        else:
            site.replace(candidate, number, smoke_edits, trial)
        site.folder.prune(keep)
    logger.info("%s version %d is served at %s", model, number, endpoint)
    return number


def restore(*, repository: Path, endpoint: str, key: str = "", model: str = "judge") -> bool:
    """Load the served version on a server that was restarted.

    Returns:
        False: it was loaded already, or none was ever served.

    Raises:
        InvalidInputError: there is no such repository.
        DeploymentError: another deployment is under way, or the server does not load it.
    """
    with _opened(repository, endpoint, model, key) as site:
        served = site.folder.served()
        return served is not None and site.load(served, _NO_EDITS)


class _Site:
    """One model in one repository of one server, locked."""

    def __init__(self, folder: ModelFolder, server: Server) -> None:
        self.folder = folder
        self.server = server

    def load(self, served: int, edits: SmokeEdits) -> bool:
        """Make sure that the served version answers; False: it was loaded already."""
        loaded = self.server.ready_versions(self.folder.model) == [served]
        if not loaded:
            self.server.load(self.folder.model, self.folder.config())
        self._check_served(served, edits)
        return not loaded

    def replace(
        self, candidate: Candidate, number: int, edits: SmokeEdits, trial: Trial | None
    ) -> None:
        """Serve a candidate instead of the served version.

        Triton loads the new version beside the old one and retires the old one after its last
        request. (A policy that names both for a while would load the old one once more.)

        Raises:
            DeploymentError: it is not served; the version that was served before is.
        """
        model, is_new = self.folder.model, False
        config = candidate.config(model, number)
        try:
            self._try_out(candidate, number, edits, trial)
            is_new = self.folder.promote(number)
            logger.info("%s: switching from version %s to %d", model, self.folder.served(), number)
            self.server.load(model, config)
            self._check_served(number, edits)
            self.folder.select(config)
            self.folder.remove_staging()
        except BaseException:
            logger.info("%s version %d: undoing its deployment", model, number)
            try:
                self.settle()
                if is_new:
                    self.folder.remove(number)
            except (SpatialRewardError, OSError) as second:
                # The first error says why the version failed, and is the one to raise.
                logger.warning("%s could not be restored: %s", model, second)
            raise

    def settle(self) -> None:
        """Undo a deployment that failed or was killed; if there was none, do nothing."""
        model, served = self.folder.model, self.folder.served()
        self.server.unload(self.folder.staging_model)
        self.folder.remove_staging()
        self.server.settle(model)
        if self.server.ready_versions(model) in ([], [served]):
            return
        if self.folder.config() is None:
            self.server.unload(model)
        elif served is not None:
            self.server.load(model, self.folder.config())

    def _try_out(
        self, candidate: Candidate, number: int, edits: SmokeEdits, trial: Trial | None
    ) -> None:
        """Ask the candidate as a model of its own, which is unloaded afterwards."""
        model, staging = self.folder.model, self.folder.staging_model
        logger.info("%s version %d: copying %s", model, number, candidate.source)
        self.folder.stage(candidate, number)
        logger.info("%s version %d: loading it as %s", model, number, staging)
        self.server.load(staging, candidate.config(staging, number))
        check_answers(self.server.endpoint, staging, number, edits)
        if trial is not None:
            trial(model if self.server.ready_versions(model) else None, staging)
        self.server.unload(staging)

    def _check_served(self, version: int, edits: SmokeEdits) -> None:
        self.server.wait_until_served(self.folder.model, version)
        check_answers(self.server.endpoint, self.folder.model, version, edits)


@contextmanager
def _opened(
    repository: Path, endpoint: str, model: str, key: str, wait_s: float = 0.0
) -> Iterator[_Site]:
    """Lock a repository and undo what a killed deployment has left there.

    The operating system frees the lock when the process ends.

    Raises:
        InvalidInputError: there is no such repository, or the name is none for a model.
        DeploymentError: another deployment is under way, or no server answers.
    """
    site = _Site(ModelFolder(repository, model), Server(endpoint, key))
    lock = FileLock(repository / LOCK_FILE)
    try:
        held = lock.acquire(timeout=wait_s)
    except Timeout as error:
        raise DeploymentUnderWay(
            f"{repository}: another process is deploying there, try again later"
        ) from error
    except OSError as error:
        raise DeploymentError(f"{repository / LOCK_FILE}: {error.strerror}") from error
    with held:
        site.settle()
        yield site
