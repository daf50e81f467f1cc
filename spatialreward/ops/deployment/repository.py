"""A model repository with one version, for a server that serves no other while it lives."""

import shutil
from pathlib import Path

from spatialreward.ops.deployment.folder import ModelFolder, Template
from spatialreward.ops.deployment.site import Candidate
from spatialreward.ops.deployment.source import fetch_checkpoint


def write_repository(model: str, out: Path, *, template: Path, name: str = "judge") -> int:
    """Write a repository that holds one version of a judge; returns its number.

    Args:
        model: ``models:/NAME@ALIAS``, ``models:/NAME/VERSION``, or a folder.
        out: the repository; made if need be. What it holds of this judge is replaced.
        template: folder with the model's ``config.pbtxt`` and ``1/model.py``.
        name: the model's name.

    Returns:
        The version's number in the registry, which is Triton's number of it, too; 1 for a folder.

    Raises:
        InvalidInputError: the checkpoint is not what was registered, or the template is incomplete.
        DeploymentError: it could not be written.
        TrackingError: the registry does not answer, or has no such model.
    """
    source = fetch_checkpoint(model)
    candidate = Candidate.check(source.checkpoint, template, source.name)
    number = source.name.rpartition("/")[2]
    version = int(number) if source.name.startswith("models:/") else 1
    out.mkdir(parents=True, exist_ok=True)
    folder = ModelFolder(out, name)
    folder.remove_staging()
    shutil.rmtree(folder.home, ignore_errors=True)
    folder.stage(candidate.checkpoint, candidate.sha256, Template(template), version)
    folder.home.mkdir()
    folder.promote(version)
    folder.select(version)
    folder.remove_staging()
    return version
