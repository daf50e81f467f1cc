"""What was deployed under one name: a JSON file beside the versions, and the journal of a switch.

The file is replaced in one step, and written before and after everything that changes what is
served. So whoever comes next can tell what a process did that was killed, and undo it.
"""

import os
import tempfile
from enum import StrEnum
from pathlib import Path
from typing import Self

from pydantic import AwareDatetime, Field, PositiveInt, ValidationError

from spatialreward.errors import InvalidInputError
from spatialreward.records import Record

HISTORY_FILE = "deployments.json"


class VersionState(StrEnum):
    """What became of a version."""

    DEPLOYING = "deploying"
    """It is being staged or switched to; its number is taken."""
    GOOD = "good"
    """It was served, or is."""
    WITHDRAWN = "withdrawn"
    """It was served and rolled back from; a later rollback does not return to it."""
    FAILED = "failed"
    """It was never served for good, and is removed from disk."""
    PRUNED = "pruned"
    """It was good once, and is removed from disk."""


class Deployment(Record):
    """One version, and where it came from."""

    version: PositiveInt
    source: str
    """``models:/NAME/VERSION``, or the folder that it was copied from."""
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    """Checksum of the checkpoint, as ``digest_folder`` makes it."""
    deployed_at: AwareDatetime
    state: VersionState
    reason: str = ""
    """Why it failed."""


class Switch(Record):
    """A change of the served version that is under way."""

    version: PositiveInt
    """The version that is switched to."""
    config_before: str | None
    """The model's configuration until then; None: there was none."""


class History(Record):
    """All versions of one served model, the oldest first."""

    served: PositiveInt | None = None
    versions: tuple[Deployment, ...] = ()
    switch: Switch | None = None
    """None except while a switch is under way, or after one that was killed."""

    @classmethod
    def read(cls, home: Path) -> Self:
        """The history of the model in a folder; an empty one where nothing was deployed.

        Raises:
            InvalidInputError: the file is damaged.
        """
        path = home / HISTORY_FILE
        if not path.is_file():
            return cls()
        try:
            return cls.model_validate_json(path.read_text(encoding="utf-8"))
        except (ValidationError, UnicodeDecodeError) as error:
            raise InvalidInputError(f"{path}: is no history of deployments: {error}") from error

    def write(self, home: Path) -> None:
        """Replace the file in a model's folder."""
        home.mkdir(parents=True, exist_ok=True)
        replace_file(home / HISTORY_FILE, self.model_dump_json(indent=2) + "\n")

    @property
    def rollback_target(self) -> Deployment | None:
        """The newest good version besides the one that is served."""
        good = (one for one in self.versions if one.state is VersionState.GOOD)
        return max(
            (one for one in good if one.version != self.served),
            key=lambda one: one.version,
            default=None,
        )

    def including(self, deployment: Deployment) -> Self:
        """This history and one version more."""
        return self.model_copy(update={"versions": (*self.versions, deployment)})

    def marking(self, *versions: int, state: VersionState, reason: str = "") -> Self:
        """This history with another state of some versions."""
        change = {"state": state, "reason": reason}
        changed = tuple(
            one.model_copy(update=change) if one.version in versions else one
            for one in self.versions
        )
        return self.model_copy(update={"versions": changed})

    def switching(self, version: int, config_before: str | None) -> Self:
        """This history when a switch to a version begins."""
        switch = Switch(version=version, config_before=config_before)
        return self.model_copy(update={"switch": switch})

    def switched(self, version: int, withdrawn: int | None) -> Self:
        """This history when a version is served, and another one is rolled back from."""
        changed = self.marking(version, state=VersionState.GOOD)
        if withdrawn is not None:
            changed = changed.marking(withdrawn, state=VersionState.WITHDRAWN)
        return changed.model_copy(update={"served": version, "switch": None})

    def abandoning(self, reason: str) -> Self:
        """This history when whatever was under way has been undone."""
        unfinished = self.in_state(VersionState.DEPLOYING)
        changed = self.marking(*unfinished, state=VersionState.FAILED, reason=reason)
        return changed.model_copy(update={"switch": None})

    def in_state(self, *states: VersionState) -> tuple[int, ...]:
        """The numbers of all versions in one of these states, the oldest first."""
        return tuple(one.version for one in self.versions if one.state in states)

    def pruned(self, keep: int) -> Self:
        """This history with only the newest versions kept on disk.

        Args:
            keep: how many; the served one and the rollback target are kept in any case.
        """
        on_disk = self.in_state(VersionState.GOOD, VersionState.WITHDRAWN)
        target = self.rollback_target
        kept = {*on_disk[-keep:], self.served, target.version if target else None}
        return self.marking(*(set(on_disk) - kept), state=VersionState.PRUNED)


def replace_file(path: Path, text: str) -> None:
    """Write a file in one step, readable by the server whoever it runs as."""
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        Path(name).chmod(0o644)
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
