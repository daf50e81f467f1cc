"""A served model's files in Triton's repository: its configuration, its versions, its staging.

- ``NAME/config.pbtxt``: what the server loads, with the one version that it serves.
- ``NAME/3/``: a version, with ``model.py``, ``checkpoint/``, and the configuration it needs.
- ``NAME-staging/3/``: a version that is tried out; renamed to ``NAME/3`` when it answers.
"""

import filecmp
import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from spatialreward.client.asking import IDENTITY_PARAMETERS, NOTICE_PARAMETER
from spatialreward.errors import InvalidInputError
from spatialreward.folder_manifest import digest_folder
from spatialreward.judges.qwen_vl.folder import read_card
from spatialreward.ops.deployment.errors import DeploymentError
from spatialreward.ops.deployment.history import History, VersionState, replace_file
from spatialreward.protocol.choice import protocol_of

CONFIG_FILE = "config.pbtxt"
CHECKPOINT_FOLDER = "checkpoint"
STAGING_SUFFIX = "-staging"
_CACHES = "__pycache__"
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]*")


class Template(NamedTuple):
    """A Triton model to fill in: ``config.pbtxt`` without a name, and what a version holds."""

    folder: Path

    @property
    def config(self) -> str:
        """The configuration, without name, notice and version."""
        return (self.folder / CONFIG_FILE).read_text()

    @property
    def program(self) -> Path:
        """What every version holds besides its checkpoint."""
        return self.folder / "1"

    def check(self) -> None:
        """Make sure that nothing is missing.

        Raises:
            InvalidInputError: a file is; the message names it.
        """
        for path in (self.folder / CONFIG_FILE, self.program / "model.py"):
            if not path.is_file():
                raise InvalidInputError(f"{path}: missing, expected a Triton model to fill in")


class ModelFolder:
    """One served model in a repository."""

    def __init__(self, repository: Path, model: str) -> None:
        """Look at ``repository``, which must be there; the model's folder need not.

        Raises:
            InvalidInputError: there is no such repository, or the name is none for a model.
        """
        if not repository.is_dir():
            raise InvalidInputError(f"model repository {repository}: there is no such folder")
        if not _NAME.fullmatch(model) or model.endswith(STAGING_SUFFIX):
            raise InvalidInputError(
                f"model name {model!r}: expected letters, digits, '.', '_' and '-', and no "
                f"{STAGING_SUFFIX} at its end"
            )
        self.model = model
        self.staging_model = model + STAGING_SUFFIX
        self.home = repository / model
        self._staging = repository / self.staging_model

    def next_version(self, history: History) -> int:
        """A number that no version had, deployed by us or put there by hand."""
        on_disk = [int(path.name) for path in self.home.glob("*") if path.name.isdigit()]
        return max([0, *on_disk, *(one.version for one in history.versions)]) + 1

    def stage(self, checkpoint: Path, sha256: str, template: Template, version: int) -> None:
        """Make a version as a model of its own, which the server can load beside the served one.

        Raises:
            DeploymentError: the copy could not be written, or differs from the checkpoint.
        """
        target = self._staging / str(version)
        try:
            shutil.copytree(template.program, target, ignore=shutil.ignore_patterns(_CACHES))
            shutil.copytree(checkpoint, target / CHECKPOINT_FOLDER)
        except OSError as error:
            raise DeploymentError(f"{checkpoint} to {target}: {error}") from error
        check_copy(target / CHECKPOINT_FOLDER, sha256)
        config = fill_in(template, checkpoint, sha256)
        (target / CONFIG_FILE).write_text(config)
        (self._staging / CONFIG_FILE).write_text(complete(config, self.staging_model, version))

    def promote(self, version: int) -> None:
        """Make a staged version one of the served model, in one step."""
        (self._staging / str(version)).rename(self.home / str(version))

    def remove_staging(self) -> None:
        """Remove what was staged, finished or not."""
        shutil.rmtree(self._staging, ignore_errors=True)

    def checkpoint(self, version: int) -> Path:
        """The checkpoint of a version."""
        return self.home / str(version) / CHECKPOINT_FOLDER

    def config(self) -> str | None:
        """The configuration that the server loads next; None where there is none."""
        path = self.home / CONFIG_FILE
        return path.read_text() if path.is_file() else None

    def select(self, version: int) -> None:
        """Have the server load this version, and no other, when it loads the model next."""
        config = (self.home / str(version) / CONFIG_FILE).read_text()
        self.write_config(complete(config, self.model, version))

    def write_config(self, text: str | None) -> None:
        """Put a configuration back; None: remove it."""
        path = self.home / CONFIG_FILE
        if text is None:
            path.unlink(missing_ok=True)
        else:
            replace_file(path, text)

    def clear(self, history: History) -> None:
        """Remove the folders of versions that failed or were pruned.

        Raises:
            DeploymentError: one cannot be removed.
        """
        for version in history.in_state(VersionState.FAILED, VersionState.PRUNED):
            folder = self.home / str(version)
            try:
                if folder.exists():
                    shutil.rmtree(folder)
            except OSError as error:
                raise DeploymentError(f"{folder}: could not be removed: {error}") from error

    def is_made_of(self, template: Template, checkpoint: Path, sha256: str, version: int) -> bool:
        """Tell whether a version is the one selected, and made of this template.

        The checkpoint lends its notice and identity; whether the version holds it is not looked at.
        """
        config = complete(fill_in(template, checkpoint, sha256), self.model, version)
        return self.config() == config and all(
            copy.is_file() and filecmp.cmp(path, copy, shallow=False)
            for path, copy in _pairs(template.program, self.home / str(version))
        )


def check_copy(folder: Path, sha256: str) -> None:
    """Make sure that a folder holds what it should.

    Raises:
        DeploymentError: it does not.
    """
    found = digest_folder(folder)
    if found != sha256:
        raise DeploymentError(f"{folder}: expected sha256 {sha256}, got {found}")


def fill_in(template: Template, checkpoint: Path, sha256: str) -> str:
    """A version's configuration, without the model's name and without a choice of version."""
    protocol = protocol_of(checkpoint)
    told = {
        NOTICE_PARAMETER: str(read_card(checkpoint).get("notice", "")),
        IDENTITY_PARAMETERS["weights"]: sha256,
        IDENTITY_PARAMETERS["protocol"]: protocol.reference,
        IDENTITY_PARAMETERS["aggregation"]: protocol.reward_of,
    }
    # JSON's escapes are those of protobuf's text format, as long as they stay within ASCII.
    entries = (
        f'parameters {{ key: "{name}", value: {{ string_value: {json.dumps(value)} }} }}\n'
        for name, value in told.items()
    )
    return template.config + "".join(entries)


def complete(config: str, model: str, version: int) -> str:
    """A version's configuration as the server loads it."""
    return f'name: "{model}"\n{config}version_policy {{ specific {{ versions: [{version}] }} }}\n'


def _pairs(template: Path, version: Path) -> Iterator[tuple[Path, Path]]:
    for path in template.rglob("*"):
        if path.is_file() and _CACHES not in path.parts:
            yield path, version / path.relative_to(template)
