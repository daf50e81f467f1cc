"""Addresses of the steps' images: a tag, or the pushed digest.

Kubeflow Pipelines caches by the image's *name*. A tag may move to a rebuilt image, so the cache
would return outputs of the old one; a digest does not change.
"""

import logging
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Self

from spatialreward.errors import InvalidInputError
from spatialreward.reading import read_toml_file

logger = logging.getLogger(__name__)

LOCK_FILE = Path("images.lock")
_BY_DIGEST = re.compile(r"[^\s@]+@sha256:[0-9a-f]{64}")


class Images:
    """Addresses of the components' images."""

    def __init__(
        self, *, lock: Mapping[str, str] | None = None, registry: str = "", where: str = "images"
    ) -> None:
        """Use images from a lock, else tags, under ``registry`` if given."""
        self._lock = lock
        self._registry = registry.rstrip("/")
        self._where = where

    @classmethod
    def of(cls, lock_file: Path | None = None, registry: str = "") -> Self:
        """Images from a lock, or tags with a warning without one.

        Args:
            lock_file: from ``make push``; None: ``images.lock`` if it exists.
            registry: prefix of tags; a lock has its own addresses.

        Raises:
            InvalidInputError: the lock is missing or malformed, or both are given.
        """
        if lock_file is not None and registry:
            raise InvalidInputError(
                f"--registry {registry}: the addresses are those of {lock_file}, give one of the "
                "two"
            )
        if lock_file is None and not registry and LOCK_FILE.is_file():
            lock_file = LOCK_FILE
        if lock_file is not None:
            return cls(lock=read_lock(lock_file), where=str(lock_file))
        logger.warning(
            "images are given by tag, since there is no %s: a step may be taken from the cache "
            "that an older image of the same tag has done",
            LOCK_FILE,
        )
        return cls(registry=registry)

    def find(self, image: str) -> str:
        """Address of ``spatialreward/NAME:VERSION``.

        Raises:
            InvalidInputError: the lock lacks it.
        """
        if self._lock is None:
            return f"{self._registry}/{image}" if self._registry else image
        if image not in self._lock:
            raise InvalidInputError(
                f"{self._where}: no image {image}, push it with the others (make push)"
            )
        return self._lock[image]


BY_TAG = Images()
"""For a run on this machine, which starts no image."""


def read_lock(path: Path) -> dict[str, str]:
    """Addresses with digests, by ``spatialreward/NAME:VERSION``.

    Raises:
        InvalidInputError: the file does not exist, is no lock, or an address has no digest.
    """
    images = read_toml_file(path).get("images")
    if not isinstance(images, dict):
        raise InvalidInputError(f"{path}: expected a table [images]")
    for name, address in images.items():
        if not isinstance(address, str) or not _BY_DIGEST.fullmatch(address):
            raise InvalidInputError(
                f"{path}: images.{name}: expected REGISTRY/NAME@sha256:DIGEST, got {address!r}"
            )
    return images
