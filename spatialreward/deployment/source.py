"""Where a checkpoint to deploy comes from: the model registry, or a folder."""

from pathlib import Path
from typing import NamedTuple

from spatialreward.errors import InvalidInputError


class Source(NamedTuple):
    """A checkpoint that is here, and where it came from."""

    checkpoint: Path
    name: str
    """``models:/NAME/VERSION``, or the folder."""


def fetch_checkpoint(model: str) -> Source:
    """Bring a checkpoint here.

    Args:
        model: ``models:/NAME@ALIAS``, ``models:/NAME/VERSION``, or a folder.

    Raises:
        InvalidInputError: there is no such folder, or what was fetched is not what was registered.
        TrackingError: the registry does not answer, or has no such model.
    """
    if model.startswith("models:/"):
        from spatialreward.registry import fetch_verified

        fetched = fetch_verified(model)
        return Source(fetched.folder, fetched.model.uri)
    folder = Path(model)
    if not folder.is_dir():
        raise InvalidInputError(f"--model {model}: there is no such folder")
    return Source(folder, str(folder.absolute()))
