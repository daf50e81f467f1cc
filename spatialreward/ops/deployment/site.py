"""A served model while one process changes it: staging, switching, and undoing either."""

import datetime
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple, Self

from spatialreward.errors import InvalidInputError, SpatialRewardError
from spatialreward.folder_manifest import digest_folder
from spatialreward.judges.qwen_vl.folder import ADAPTER_CONFIG_FILE, CONFIG_FILE, CheckpointFolder
from spatialreward.ops.deployment.exclusive import exclusive
from spatialreward.ops.deployment.folder import ModelFolder, Template
from spatialreward.ops.deployment.history import Deployment, History, VersionState
from spatialreward.ops.deployment.server import Server
from spatialreward.ops.deployment.smoke import SmokeEdits, check_answers
from spatialreward.protocol.choice import protocol_of
from spatialreward.protocol.formats import AnswerFormat
from spatialreward.protocol.prompts import PROTOCOL_FILE

logger = logging.getLogger(__name__)


Trial = Callable[[str | None, str], None]
"""Is told the served model's name on the server, None where none is, and the staged one's; raises
``DeploymentError`` when the staged one must not be switched to."""


class Candidate(NamedTuple):
    """What is to be served."""

    checkpoint: Path
    template: Template
    source: str
    sha256: str

    @classmethod
    def check(cls, checkpoint: Path, template: Path, source: str) -> Self:
        """A checkpoint and a Triton model that can be put together.

        Raises:
            InvalidInputError: the checkpoint is damaged or cannot judge, or the template is
                incomplete.
        """
        _check_judge(checkpoint)
        filled = Template(template)
        filled.check()
        origin = source or str(checkpoint.absolute())
        return cls(checkpoint, filled, origin, digest_folder(checkpoint))


def _check_judge(checkpoint: Path) -> None:
    """Refuse what no server could load, before anything is copied.

    A template of one's own may serve another kind of judge: its folder has a protocol alone.
    """
    names = (CONFIG_FILE, ADAPTER_CONFIG_FILE)
    is_model = any((checkpoint / name).is_file() for name in names)
    if is_model or not (checkpoint / PROTOCOL_FILE).is_file():
        CheckpointFolder.read(checkpoint).require_judge()
    if protocol_of(checkpoint).format is AnswerFormat.HEADS:
        raise InvalidInputError(
            f"{checkpoint}: a judge with score heads is not served; judge with the folder itself"
        )


class Site:
    """One model in one repository of one server."""

    def __init__(self, folder: ModelFolder, server: Server) -> None:
        """Bring together the model's files and the server that loads them."""
        self.folder = folder
        self.server = server

    @classmethod
    @contextmanager
    def open(cls, repository: Path, endpoint: str, model: str, key: str = "") -> Iterator[Self]:
        """Have a model to oneself, and in order: what a killed process left behind is undone.

        Raises:
            InvalidInputError: there is no such repository, or the name is none for a model.
            DeploymentError: another deployment is under way, or no server answers.
        """
        site = cls(ModelFolder(repository, model), Server(endpoint, key))
        with exclusive(repository):
            site._restore("the process that deployed it ended before it was served")
            yield site

    @property
    def history(self) -> History:
        """What was deployed here."""
        return History.read(self.folder.home)

    def add(
        self, candidate: Candidate, edits: SmokeEdits, keep: int, trial: Trial | None = None
    ) -> int:
        """Serve a candidate as the next version; returns its number.

        Args:
            candidate: what is to be served.
            edits: that it must judge.
            keep: how many versions stay on disk.
            trial: looks at the staged version before it is switched to.

        Raises:
            DeploymentError: it is not served, and what was served before is.
        """
        version = self.folder.next_version(self.history)
        with self._undone_on_failure():
            self._announce(candidate, version)
            self._try_out(candidate, version, edits, trial)
            self.folder.promote(version)
            self._switch(version, edits)
        logger.info("%s version %d is served at %s", self.model, version, self.server.endpoint)
        self._prune(keep)
        return version

    def return_to(self, version: int, edits: SmokeEdits) -> None:
        """Serve a version that is on disk, and withdraw the one that is served.

        Raises:
            DeploymentError: it is not served, and what was served before is.
        """
        with self._undone_on_failure():
            self._switch(version, edits, withdrawn=self.history.served)

    def holds(self, candidate: Candidate, version: int) -> bool:
        """Tell whether a version on disk is what would be made of a candidate."""
        return (
            self.folder.is_made_of(
                candidate.template, candidate.checkpoint, candidate.sha256, version
            )
            and digest_folder(self.folder.checkpoint(version)) == candidate.sha256
        )

    def check_served(self, version: int, edits: SmokeEdits) -> None:
        """Make sure that requests are answered, and by this version.

        Raises:
            DeploymentError: they are not.
        """
        self.server.wait_until_served(self.model, version)
        check_answers(self.server.endpoint, self.model, version, edits)

    @property
    def model(self) -> str:
        """Name of the model on the server."""
        return self.folder.model

    def _announce(self, candidate: Candidate, version: int) -> None:
        entry = Deployment(
            version=version,
            source=candidate.source,
            sha256=candidate.sha256,
            deployed_at=datetime.datetime.now(datetime.UTC),
            state=VersionState.DEPLOYING,
        )
        self.history.including(entry).write(self.folder.home)

    def _try_out(
        self, candidate: Candidate, version: int, edits: SmokeEdits, trial: Trial | None
    ) -> None:
        """Ask the candidate as a model of its own; it is gone from the server afterwards."""
        logger.info("%s version %d: copying %s", self.model, version, candidate.source)
        self.folder.stage(candidate.checkpoint, candidate.sha256, candidate.template, version)
        staging = self.folder.staging_model
        logger.info("%s version %d: loading it as %s", self.model, version, staging)
        self.server.load(staging)
        check_answers(self.server.endpoint, staging, version, edits)
        if trial is not None:
            trial(self.model if self.server.ready_versions(self.model) else None, staging)
        self.server.unload(staging)

    def _switch(self, version: int, edits: SmokeEdits, withdrawn: int | None = None) -> None:
        before = self.history.switching(version, self.folder.config())
        before.write(self.folder.home)
        self.folder.select(version)
        logger.info("%s: switching from version %s to %d", self.model, before.served, version)
        self.server.load(self.model)
        self.check_served(version, edits)
        before.switched(version, withdrawn).write(self.folder.home)
        self.folder.remove_staging()

    @contextmanager
    def _undone_on_failure(self) -> Iterator[None]:
        try:
            yield
        except BaseException as error:
            logger.info("%s: undoing what was begun", self.model)
            try:
                self._restore(str(error) if isinstance(error, Exception) else "interrupted")
            except (SpatialRewardError, OSError) as second:
                # The caller is told why the version failed; this is what came on top of it.
                logger.warning("%s could not be restored: %s", self.model, second)
            raise

    def _restore(self, reason: str) -> None:
        """Undo a deployment or rollback that did not come to its end; if all did, do nothing.

        The configuration comes first, so a server that is started again loads what was served.
        """
        history = self.history
        if history.switch is not None:
            self.folder.write_config(history.switch.config_before)
        self.server.unload(self.folder.staging_model)
        self.folder.remove_staging()
        self.server.settle(self.model)
        if history.switch and history.switch.version in self.server.ready_versions(self.model):
            if history.switch.config_before is None:
                self.server.unload(self.model)
            else:
                self.server.load(self.model)
        settled = history.abandoning(reason)
        if settled != history:
            settled.write(self.folder.home)
        self.folder.clear(settled)

    def _prune(self, keep: int) -> None:
        pruned = self.history.pruned(keep)
        pruned.write(self.folder.home)
        self.folder.clear(pruned)
