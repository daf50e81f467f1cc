"""A judge's files in Triton's repository: what the server loads, and the versions on disk.

- ``NAME/config.pbtxt``: what the server loads: the one version that is served. It is written after
  that version has answered, so loading it undoes a deployment that was killed before.
- ``NAME/7/``: a version: ``model.py``, ``checkpoint/``, and ``version.json`` with its origin.
- ``NAME-staging/7/``: a version on trial; moved to ``NAME/7`` before the server switches to it.
"""

import datetime
import filecmp
import os
import re
import shutil
from pathlib import Path
from typing import NamedTuple, Self

from google.protobuf import text_format
from pydantic import AwareDatetime, PositiveInt, ValidationError
from tritonclient.grpc.model_config_pb2 import ModelConfig

from spatialreward.client.asking import IDENTITY_PARAMETERS, NOTICE_PARAMETER
from spatialreward.errors import InvalidInputError
from spatialreward.folder_manifest import digest_folder
from spatialreward.judges.qwen_vl import folder as checkpoints
from spatialreward.ops.deployment.errors import DeploymentError
from spatialreward.ops.deployment.source import fetch_checkpoint
from spatialreward.protocol.choice import protocol_of
from spatialreward.protocol.formats import AnswerFormat
from spatialreward.protocol.prompts import PROTOCOL_FILE
from spatialreward.records import Record

CONFIG_FILE = "config.pbtxt"
CHECKPOINT_FOLDER = "checkpoint"
VERSION_FILE = "version.json"
STAGING_SUFFIX = "-staging"
_CACHES = "__pycache__"
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]*")
_REGISTERED = re.compile(r"models:/[^/@]+/(?P<version>\d+)")


class Version(Record):
    """One version on disk, and where it came from."""

    version: PositiveInt
    """Triton's number of it; of a registered model the registry's."""
    source: str
    """``models:/NAME/VERSION``, ``hub:OWNER/NAME@COMMIT``, or the folder."""
    sha256: str
    """Checksum of the checkpoint, as ``digest_folder`` makes it."""
    deployed_at: AwareDatetime


class Candidate(NamedTuple):
    """A checkpoint and the Triton model that it is put into."""

    checkpoint: Path
    template: Path
    source: str
    sha256: str

    @classmethod
    def check(cls, checkpoint: Path, template: Path, source: str) -> Self:
        """Refuse what no server could load, before anything is copied.

        Raises:
            InvalidInputError: the checkpoint is damaged or cannot judge, or the template is
                incomplete.
        """
        _check_judge(checkpoint)
        for path in (template / CONFIG_FILE, template / "1" / "model.py"):
            if not path.is_file():
                raise InvalidInputError(f"{path}: missing, expected a Triton model to fill in")
        return cls(
            checkpoint, template, source or str(checkpoint.absolute()), digest_folder(checkpoint)
        )

    def config(self, model: str, version: int) -> ModelConfig:
        """The template's configuration, of this checkpoint and for one version."""
        protocol = protocol_of(self.checkpoint)
        config = _parse(self.template / CONFIG_FILE)
        config.name = model
        config.version_policy.specific.versions[:] = [version]
        for name, value in {
            NOTICE_PARAMETER: str(checkpoints.read_card(self.checkpoint).get("notice", "")),
            IDENTITY_PARAMETERS["weights"]: self.sha256,
            IDENTITY_PARAMETERS["protocol"]: protocol.reference,
            IDENTITY_PARAMETERS["aggregation"]: protocol.reward_of,
        }.items():
            config.parameters[name].string_value = value
        return config


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

    def config(self) -> ModelConfig | None:
        """What the server is to load; None: no version was served yet.

        Raises:
            InvalidInputError: the configuration cannot be read.
        """
        path = self.home / CONFIG_FILE
        return _parse(path) if path.is_file() else None

    def served(self) -> int | None:
        """The version that is served, or will be once the server loads the model; None: none.

        Raises:
            InvalidInputError: the configuration cannot be read.
        """
        config = self.config()
        versions = config.version_policy.specific.versions if config else ()
        return int(versions[0]) if len(versions) == 1 else None

    def versions(self) -> dict[int, Version]:
        """The versions on disk by number, the one deployed last at the end; not those put by hand.

        Raises:
            InvalidInputError: the origin of one cannot be read.
        """
        found = [_read_version(path) for path in self.home.glob(f"*/{VERSION_FILE}")]
        return {one.version: one for one in sorted(found, key=lambda one: one.deployed_at)}

    def number_of(self, candidate: Candidate) -> int:
        """The number of a registered version; else its own if it is on disk, or the next free one.

        A version that is kept here may be deployed as a folder, too, and so keeps its number.
        """
        if match := _REGISTERED.fullmatch(candidate.source):
            return int(match["version"])
        same = (one.version for one in self.versions().values() if one.sha256 == candidate.sha256)
        return next(same, None) or self.free_number()

    def free_number(self) -> int:
        """A number that no version on disk has."""
        on_disk = (int(path.name) for path in self.home.glob("*") if path.name.isdigit())
        return max(on_disk, default=0) + 1

    def holds(self, candidate: Candidate, number: int) -> bool:
        """Whether a version on disk has the program and the checkpoint of a candidate."""
        program, folder = candidate.template / "1", self.home / str(number)
        files = [
            str(path.relative_to(program))
            for path in program.rglob("*")
            if path.is_file() and _CACHES not in path.parts
        ]
        if filecmp.cmpfiles(program, folder, files, shallow=False)[0] != files:
            return False
        checkpoint = folder / CHECKPOINT_FOLDER
        return checkpoint.is_dir() and digest_folder(checkpoint) == candidate.sha256

    def serves(self, candidate: Candidate, number: int) -> bool:
        """Whether the served version is what would be made of a candidate."""
        return self.config() == candidate.config(self.model, number) and self.holds(
            candidate, number
        )

    def stage(self, candidate: Candidate, number: int) -> None:
        """Make a version as a model of its own, which the server can load beside the served one.

        A version that is on disk already is not copied again.

        Raises:
            DeploymentError: the copy could not be written or differs from the checkpoint, or the
                number is that of a folder that no deployment has made.
        """
        target, present = self._staging / str(number), self.home / str(number)
        if present.exists() and not (present / CHECKPOINT_FOLDER).is_dir():
            raise DeploymentError(f"{present}: no deployment has made this folder, move it away")
        try:
            if self.holds(candidate, number):
                self._staging.mkdir()
                # Relative, since the server may see the repository elsewhere.
                target.symlink_to(Path("..", self.model, str(number)))
            else:
                ignored = shutil.ignore_patterns(_CACHES)
                shutil.copytree(candidate.template / "1", target, ignore=ignored)
                shutil.copytree(candidate.checkpoint, target / CHECKPOINT_FOLDER)
        except OSError as error:
            raise DeploymentError(f"{candidate.checkpoint} to {target}: {error}") from error
        if (found := digest_folder(target / CHECKPOINT_FOLDER)) != candidate.sha256:
            raise DeploymentError(
                f"{target / CHECKPOINT_FOLDER}: expected sha256 {candidate.sha256}, got {found}"
            )
        _note_origin(target, candidate, number)

    def note_origin(self, candidate: Candidate, number: int) -> None:
        """Keep where a version on disk came from, and that it is deployed now."""
        _note_origin(self.home / str(number), candidate, number)

    def promote(self, number: int) -> bool:
        """Make a staged version one of the served model; False: it was on disk already."""
        staged, target = self._staging / str(number), self.home / str(number)
        if staged.is_symlink():
            return False
        self.home.mkdir(exist_ok=True)
        shutil.rmtree(target, ignore_errors=True)
        staged.rename(target)
        return True

    def select(self, config: ModelConfig) -> None:
        """Make the version that a configuration names the one that is served."""
        _replace(self.home / CONFIG_FILE, text_format.MessageToString(config))

    def remove_staging(self) -> None:
        """Remove what was staged, finished or not."""
        shutil.rmtree(self._staging, ignore_errors=True)

    def remove(self, number: int) -> None:
        """Remove a version from disk.

        Raises:
            DeploymentError: it cannot be removed.
        """
        try:
            shutil.rmtree(self.home / str(number))
        except OSError as error:
            raise DeploymentError(f"{self.home / str(number)}: not removed: {error}") from error

    def prune(self, keep: int) -> None:
        """Keep only the versions that were deployed last; the served one is among them.

        Raises:
            DeploymentError: one cannot be removed.
        """
        for number in list(self.versions())[:-keep]:
            if number != self.served():
                self.remove(number)


def write_repository(model: str, out: Path, *, template: Path, name: str = "judge") -> int:
    """Write a repository with one version of a judge, for a server that serves no other.

    Args:
        model: ``models:/NAME@ALIAS``, ``models:/NAME/VERSION``, ``hub:OWNER/NAME@REVISION``, or a
            folder.
        out: the repository; made if need be. What it holds of this judge is replaced.
        template: folder with the model's ``config.pbtxt`` and ``1/model.py``.
        name: the model's name.

    Returns:
        Triton's number of the version: the registry's, and 1 for others.

    Raises:
        InvalidInputError: the checkpoint is not what was registered, or the template is incomplete.
        DeploymentError: it could not be written.
        TrackingError: the registry does not answer, or has no such model.
    """
    source = fetch_checkpoint(model)
    candidate = Candidate.check(source.checkpoint, template, source.name)
    out.mkdir(parents=True, exist_ok=True)
    folder = ModelFolder(out, name)
    folder.remove_staging()
    shutil.rmtree(folder.home, ignore_errors=True)
    number = folder.number_of(candidate)
    folder.stage(candidate, number)
    folder.promote(number)
    folder.select(candidate.config(name, number))
    folder.remove_staging()
    return number


def _check_judge(checkpoint: Path) -> None:
    """Refuse a folder that is no judge, and a judge that cannot be served.

    A template of one's own may serve another kind of judge: its folder has a protocol alone.
    """
    names = (checkpoints.CONFIG_FILE, checkpoints.ADAPTER_CONFIG_FILE)
    is_model = any((checkpoint / name).is_file() for name in names)
    if is_model or not (checkpoint / PROTOCOL_FILE).is_file():
        checkpoints.CheckpointFolder.read(checkpoint).require_judge()
    if protocol_of(checkpoint).format is AnswerFormat.HEADS:
        raise InvalidInputError(
            f"{checkpoint}: a judge with score heads is not served; judge with the folder itself"
        )


def _note_origin(folder: Path, candidate: Candidate, number: int) -> None:
    path, source = folder / VERSION_FILE, candidate.source
    if path.is_file() and not _REGISTERED.fullmatch(source):
        # A version that is kept here and is deployed as a folder keeps its origin.
        source = _read_version(path).source
    now = datetime.datetime.now(datetime.UTC)
    origin = Version(version=number, source=source, sha256=candidate.sha256, deployed_at=now)
    _replace(path, origin.model_dump_json(indent=2) + "\n")


def _read_version(path: Path) -> Version:
    try:
        return Version.model_validate_json(path.read_bytes())
    except ValidationError as error:
        raise InvalidInputError(f"{path}: expected the origin of a version: {error}") from error


def _parse(path: Path) -> ModelConfig:
    try:
        return text_format.Parse(path.read_bytes(), ModelConfig())
    except text_format.ParseError as error:
        raise InvalidInputError(f"{path}: no configuration of a model: {error}") from error


def _replace(path: Path, text: str) -> None:
    """Write a file in one step, so that a power cut leaves the old one or the new one."""
    unfinished = path.with_name(f".{path.name}.unfinished")
    with unfinished.open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    unfinished.replace(path)
