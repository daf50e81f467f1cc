"""A judge's checkpoint from the Hugging Face hub; only the one that the user names is asked for."""

import logging
import re
from pathlib import Path

from spatialreward.errors import InvalidInputError, SpatialRewardError

logger = logging.getLogger(__name__)

ON_HUB = "hub:"
"""How the name of a checkpoint on the hub begins."""
_NAME = re.compile(r"hub:(?P<id>[\w.-]+/[\w.-]+)(?:@(?P<revision>[^@\s]+))?")
_FILES = ("*.json", "*.safetensors", "*.jinja", "*.txt")
"""Weights in other formats are not fetched, and no code."""


class HubError(SpatialRewardError, RuntimeError):
    """The hub cannot be reached, or does not hand a checkpoint over."""


def fetch_from_hub(name: str) -> Path:
    """The folder of a checkpoint, which is downloaded once into the hub's own cache.

    Args:
        name: ``hub:OWNER/NAME@REVISION``. Without a revision the newest commit is taken, and
            logged, so that it can be named the next time.

    Raises:
        InvalidInputError: the name is none, or the hub has no such model or revision.
        HubError: the hub cannot be reached, or refuses.
    """
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import (
        GatedRepoError,
        HfHubHTTPError,
        HFValidationError,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )

    found = _NAME.fullmatch(name)
    if not found:
        raise InvalidInputError(f"judge {name}: expected hub:OWNER/NAME@REVISION")
    model, revision = found["id"], found["revision"]
    try:
        folder = Path(snapshot_download(model, revision=revision, allow_patterns=[*_FILES]))
    except RevisionNotFoundError as error:
        raise InvalidInputError(f"judge {name}: the hub has no such revision") from error
    except GatedRepoError as error:
        raise HubError(f"judge {name}: the hub wants its terms accepted first") from error
    except RepositoryNotFoundError as error:
        raise InvalidInputError(
            f"judge {name}: the hub has no such model, or HF_TOKEN may not see it"
        ) from error
    except HFValidationError as error:
        raise InvalidInputError(f"judge {name}: {_first_line(error)}") from error
    except (HfHubHTTPError, OSError, ValueError) as error:
        raise HubError(f"judge {name}: {_first_line(error)}") from error
    if revision is None:
        # The cache names a snapshot's folder by its commit.
        logger.info("%s is now hub:%s@%s", name, model, folder.name)
    return folder


def _first_line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0] if lines else type(error).__name__
