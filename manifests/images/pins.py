"""Digests: of the images that ours stand on, and of ours once they are pushed."""

import logging
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

from manifests.images.catalogue import Image
from manifests.images.engine import Engine
from manifests.images.errors import ImageError
from manifests.images.locks import read_lock, write_lock
from manifests.images.references import Reference
from manifests.images.registry import resolve_digest

logger = logging.getLogger(__name__)

_BASES_COMMENT = "Written by `make pin-images`: what each tag stood for when a registry was asked."
_IMAGES_COMMENT = "Written by `make push`: digests that the registry has of our images."


class Pinned(NamedTuple):
    """What became of each image that was to be pinned."""

    resolved: dict[str, str]
    """References by digest, by tag."""
    failed: dict[str, str]
    """Reasons, by tag."""


def pin(tags: Iterable[str], lock: Path) -> Pinned:
    """Resolve tags and write those that were resolved; others keep what the lock has of them.

    Raises:
        ImageError: the lock cannot be read.
    """
    known = read_lock(lock)
    resolved: dict[str, str] = {}
    failed: dict[str, str] = {}
    wanted = list(tags)
    for tag in wanted:
        try:
            reference = Reference.parse(tag)
            resolved[tag] = reference.pinned(resolve_digest(reference))
        except ImageError as error:
            failed[tag] = str(error)
    if resolved:
        kept = {tag: pinned for tag, pinned in known.items() if tag in wanted}
        write_lock(lock, kept | resolved, _BASES_COMMENT)
    return Pinned(resolved, failed)


def push_images(
    engine: Engine, images: Iterable[Image], registry: str, lock: Path
) -> Mapping[str, str]:
    """Push images and note each digest as soon as its push has reported it.

    Args:
        engine: has the images.
        images: what to push.
        registry: host of the registry, with a path where it has one.
        lock: is written; entries of other images stay.

    Raises:
        ImageError: a push failed; what was pushed before is in the lock.
    """
    entries = read_lock(lock)
    pushed = {}
    for image in images:
        target = f"{registry.rstrip('/')}/{image.tag()}"
        digest = engine.push(image.tag(), target)
        pushed[image.tag()] = Reference.parse(target).pinned(digest)
        write_lock(lock, entries | pushed, _IMAGES_COMMENT)
        logger.info("pushed %s", pushed[image.tag()])
    return pushed
