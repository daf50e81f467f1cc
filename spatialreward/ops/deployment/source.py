"""Where a checkpoint to deploy comes from: the model registry, the hub, or a folder."""

from pathlib import Path
from typing import NamedTuple

from spatialreward.errors import InvalidInputError
from spatialreward.hub import JUDGE, ON_HUB, fetch_from_hub


class Source(NamedTuple):
    """A checkpoint that is here, and where it came from."""

    checkpoint: Path
    name: str
    """``models:/NAME/VERSION``, ``hub:OWNER/NAME@COMMIT``, or the folder."""


def fetch_checkpoint(model: str) -> Source:
    """Bring a checkpoint here.

    Args:
        model: ``models:/NAME@ALIAS``, ``models:/NAME/VERSION``, ``hub:OWNER/NAME@REVISION``, or
            a folder.

    Raises:
        InvalidInputError: there is no such folder, or what was fetched is not what was registered.
        HubError: the hub does not hand the model over.
        TrackingError: the registry does not answer, or has no such model.
    """
    if model.startswith("models:/"):
        from spatialreward.ops.registry import fetch_verified

        fetched = fetch_verified(model)
        return Source(fetched.folder, fetched.model.uri)
    if model.startswith(ON_HUB):
        snapshot = fetch_from_hub(model, JUDGE)
        return Source(snapshot, f"{model.partition('@')[0]}@{snapshot.name}")
    folder = Path(model)
    if not folder.is_dir():
        raise InvalidInputError(f"--model {model}: there is no such folder")
    return Source(folder, str(folder.absolute()))
