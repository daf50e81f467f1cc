"""Puts a judge's checkpoint into Triton's model repository and has the server load it.

A new version either answers or is taken out again; until it answers, the one before is served.
"""

import filecmp
import json
import logging
import os
import shutil
import tempfile
from pathlib import Path

import tritonclient.grpc as triton
from PIL import Image
from tritonclient.utils import InferenceServerException

from spatialreward.client import ServingError, TritonJudge
from spatialreward.client.triton import NOTICE_PARAMETER
from spatialreward.errors import InvalidInputError, SpatialRewardError
from spatialreward.judge import checkpoint as checkpoints
from spatialreward.judge.interface import EditToJudge
from spatialreward.protocol.prompts import Protocol
from spatialreward.storage import digest_folder

logger = logging.getLogger(__name__)

CONFIG_FILE = "config.pbtxt"
CHECKPOINT_FOLDER = "checkpoint"
_LOAD_TIMEOUT_S = 600.0


class DeploymentError(SpatialRewardError, RuntimeError):
    """A version could not be served; the message carries the server's reason."""


def deploy(
    checkpoint: Path,
    *,
    template: Path,
    repository: Path,
    endpoint: str,
    model: str = "judge",
    version: int | None = None,
) -> int:
    """Serve a checkpoint as the newest version of a model; returns the version.

    Args:
        checkpoint: the judge's folder, with protocol and card.
        template: folder with the model's ``config.pbtxt`` and ``1/model.py``.
        repository: Triton's model repository, as this process sees it.
        endpoint: Triton's gRPC address, ``host:port``.
        model: name to serve under.
        version: number to serve as, above all that were deployed; by default the next one.

    Raises:
        InvalidInputError: the checkpoint cannot judge, the template is incomplete, or the version
            is not above those that were deployed.
        DeploymentError: the server did not load it or it does not answer; what was served before
            is served still.
    """
    Protocol.read(checkpoint)
    config = _config(template, checkpoint, model)
    home = repository / model
    newest = max(_versions(home), default=0)
    version = newest + 1 if version is None else version
    if version <= newest:
        raise InvalidInputError(f"version {version}: {model} has been deployed as {newest}")
    _add_version(template, checkpoint, home / str(version))
    before = _replace(home / CONFIG_FILE, config + _policy(version))
    try:
        _load_and_try(endpoint, model, version)
    except BaseException:
        _take_back(home, version, before)
        _serve_as_before(endpoint, model, before is not None)
        raise
    logger.info("%s version %d is served at %s", model, version, endpoint)
    return version


def deploy_once(
    checkpoint: Path, *, template: Path, repository: Path, endpoint: str, model: str = "judge"
) -> int:
    """As ``deploy``, but a checkpoint that is the newest version already is only loaded.

    So a step that is done again, or a server that was started again, needs no second copy.

    Raises:
        InvalidInputError, DeploymentError: as ``deploy``.
    """
    newest = max(_versions(repository / model), default=0)
    if newest and _holds(repository / model, newest, checkpoint, template, model):
        _load_and_try(endpoint, model, newest)
        logger.info("%s version %d is served at %s, as before", model, newest, endpoint)
        return newest
    return deploy(
        checkpoint, template=template, repository=repository, endpoint=endpoint, model=model
    )


def _holds(home: Path, version: int, checkpoint: Path, template: Path, model: str) -> bool:
    """Tell whether a version is made of just this checkpoint and this template."""
    config = home / CONFIG_FILE
    return (
        config.is_file()
        and config.read_text() == _config(template, checkpoint, model) + _policy(version)
        and filecmp.cmp(home / str(version) / "model.py", template / "1" / "model.py", False)
        and digest_folder(home / str(version) / CHECKPOINT_FOLDER) == digest_folder(checkpoint)
    )


def _policy(version: int) -> str:
    return f"version_policy {{ specific {{ versions: [{version}] }} }}\n"


def _config(template: Path, checkpoint: Path, model: str) -> str:
    files = (template / CONFIG_FILE, template / "1" / "model.py")
    for path in files:
        if not path.is_file():
            raise InvalidInputError(f"{path}: missing, expected a Triton model to fill in")
    # JSON's escapes are those of protobuf's text format, as long as they stay within ASCII.
    notice = json.dumps(str(checkpoints.read_card(checkpoint).get("notice", "")))
    entry = f'key: "{NOTICE_PARAMETER}", value: {{ string_value: {notice} }}'
    return f'name: "{model}"\n{files[0].read_text()}parameters {{ {entry} }}\n'


def _versions(home: Path) -> list[int]:
    return [int(path.name) for path in home.glob("*") if path.name.isdigit()]


def _add_version(template: Path, checkpoint: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    # Triton takes folders with a number for a name, so an unfinished one is none to it.
    unfinished = Path(tempfile.mkdtemp(prefix=".version-", dir=target.parent))
    try:
        shutil.copy(template / "1" / "model.py", unfinished)
        shutil.copytree(checkpoint, unfinished / CHECKPOINT_FOLDER)
        unfinished.chmod(0o755)
        unfinished.rename(target)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


def _replace(path: Path, text: str) -> str | None:
    """Write a file in one step; returns what it held before."""
    before = path.read_text() if path.exists() else None
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    with os.fdopen(handle, "w") as file:
        file.write(text)
    Path(name).chmod(0o644)
    Path(name).replace(path)
    return before


def _load_and_try(endpoint: str, model: str, version: int) -> None:
    client = triton.InferenceServerClient(endpoint)
    try:
        client.load_model(model, client_timeout=_LOAD_TIMEOUT_S)
        ready = client.is_model_ready(model, str(version))
    except InferenceServerException as error:
        raise DeploymentError(f"{model} version {version}: {error.message()}") from error
    if not ready:
        raise DeploymentError(f"{model} version {version}: loaded, but not ready")
    blank = Image.new("RGB", (64, 64), "white")
    try:
        TritonJudge(endpoint, model=model).judge([EditToJudge(blank, blank, "add a red circle")])
    except ServingError as error:
        raise DeploymentError(f"{model} version {version} does not answer: {error}") from error


def _take_back(home: Path, version: int, config: str | None) -> None:
    shutil.rmtree(home / str(version))
    if config is None:
        (home / CONFIG_FILE).unlink()
    else:
        _replace(home / CONFIG_FILE, config)


def _serve_as_before(endpoint: str, model: str, was_served: bool) -> None:
    client = triton.InferenceServerClient(endpoint)
    try:
        if was_served:
            client.load_model(model, client_timeout=_LOAD_TIMEOUT_S)
        else:
            client.unload_model(model)
    except InferenceServerException as error:
        # The caller is told why the new version failed; this is what came on top of it.
        logger.warning("%s could not be restored: %s", model, error.message())
