"""What lies on the Hugging Face hub: judges, editors, data sets, benchmarks.

Only what the user names is fetched.
"""

import logging
import re
from pathlib import Path
from typing import Literal, NamedTuple

from spatialreward.errors import InvalidInputError, SpatialRewardError

logger = logging.getLogger(__name__)

ON_HUB = "hub:"
"""How the name of what lies on the hub begins."""
_NAME = re.compile(r"hub:(?P<id>[\w.-]+/[\w.-]+)(?:@(?P<revision>[^@\s]+))?")


class Kind(NamedTuple):
    """A kind of thing that the hub has."""

    name: str
    """As an error calls it."""
    repository: Literal["model", "dataset"]
    """As the hub calls it."""
    files: tuple[str, ...]
    """Patterns of the files that are fetched."""


JUDGE = Kind("judge", "model", ("*.json", "*.safetensors", "*.jinja", "*.txt"))
"""Weights in other formats are not fetched, and no code."""
EDITOR = Kind("editor", "model", ("*.json", "*.safetensors", "*.jinja", "*.txt", "*.model"))
"""In diffusers' layout, with its tokenizers."""
DATA_SET = Kind("data set", "dataset", ("manifest.json", "*.parquet"))
"""Packed, with the manifest beside the shards."""
BENCHMARK = Kind(
    "benchmark", "dataset", ("*.parquet", "*.arrow", "*.json", "*.jsonl", "*.png", "*.jpg")
)
"""As it was published."""


class HubError(SpatialRewardError, RuntimeError):
    """The hub cannot be reached, or does not hand over what it was asked for."""


def fetch_from_hub(name: str, kind: Kind) -> Path:
    """The folder of a snapshot, which is downloaded once into the hub's own cache.

    Args:
        name: ``hub:OWNER/NAME@REVISION``. Without a revision the newest commit is taken, and
            logged, so that it can be named the next time.
        kind: what is expected there.

    Raises:
        InvalidInputError: the name is none, or the hub has no such repository or revision.
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
