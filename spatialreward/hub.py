"""Downloads from the Hugging Face hub: judges, editors, data sets, benchmarks.

Fetches only what the user names.
"""

import logging
import re
from pathlib import Path
from typing import Literal, NamedTuple

from spatialreward.errors import InvalidInputError, SpatialRewardError

logger = logging.getLogger(__name__)

ON_HUB = "hub:"
"""Prefix of names on the hub."""
_NAME = re.compile(r"hub:(?P<id>[\w.-]+/[\w.-]+)(?:@(?P<revision>[^@\s]+))?")


class Kind(NamedTuple):
    """A kind of repository on the hub."""

    name: str
    """Its name in errors."""
    repository: Literal["model", "dataset"]
    """The hub's own type for it."""
    files: tuple[str, ...]
    """Patterns of the files to fetch."""


JUDGE = Kind("judge", "model", ("*.json", "*.safetensors", "*.jinja", "*.txt"))
"""No code, and no weights in other formats."""
EDITOR = Kind("editor", "model", ("*.json", "*.safetensors", "*.jinja", "*.txt", "*.model"))
"""In diffusers' layout, with its tokenizers."""
DATA_SET = Kind("data set", "dataset", ("manifest.json", "*.parquet"))
"""Packed, with the manifest beside the shards."""
BENCHMARK = Kind(
    "benchmark", "dataset", ("*.parquet", "*.arrow", "*.json", "*.jsonl", "*.png", "*.jpg")
)
"""As published."""


class HubError(SpatialRewardError, RuntimeError):
    """The hub is unreachable, or refuses the request."""


def fetch_from_hub(name: str, kind: Kind) -> Path:
    """The folder of a snapshot, downloaded once into the hub's own cache.

    Args:
        name: ``hub:OWNER/NAME@REVISION``. Without a revision it takes the newest commit and logs
        it, so that a later call can name it.
        kind: the expected kind of repository.

    Raises:
        InvalidInputError: the name is malformed, or the hub has no such repository or revision.
        HubError: the hub is unreachable, or refuses.
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
        raise InvalidInputError(f"{kind.name} {name}: expected hub:OWNER/NAME@REVISION")
    repository, revision = found["id"], found["revision"]
    try:
        folder = Path(
            snapshot_download(
                repository,
                repo_type=kind.repository,
                revision=revision,
                allow_patterns=[*kind.files],
            )
        )
    except RevisionNotFoundError as error:
        raise InvalidInputError(f"{kind.name} {name}: the hub has no such revision") from error
    except GatedRepoError as error:
        raise HubError(f"{kind.name} {name}: the hub wants its terms accepted first") from error
    except RepositoryNotFoundError as error:
        raise InvalidInputError(
            f"{kind.name} {name}: the hub has no such {kind.repository}, or HF_TOKEN may not see it"
        ) from error
    except HFValidationError as error:
        raise InvalidInputError(f"{kind.name} {name}: {_first_line(error)}") from error
    except (HfHubHTTPError, OSError, ValueError) as error:
        raise HubError(f"{kind.name} {name}: {_first_line(error)}") from error
    if revision is None:
        # The cache names a snapshot's folder by its commit.
        logger.info("%s is now hub:%s@%s", name, repository, folder.name)
    return folder


def _first_line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0] if lines else type(error).__name__
