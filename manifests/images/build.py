"""Builds the images, each on the one that it stands on."""

import logging
import os
import re
import subprocess
import time
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from manifests.images.catalogue import IMAGES, ROOT, Image, Variant, project_version, third_party
from manifests.images.engine import BuildRequest, Engine
from manifests.images.locks import BASES_LOCK, read_lock
from manifests.images.pip_settings import pip_settings

logger = logging.getLogger(__name__)

_OURS = {image.name: image for image in IMAGES}


class Built(NamedTuple):
    """An image that was built."""

    image: Image
    seconds: float


class BuildOptions(NamedTuple):
    """What a caller may choose about a build."""

    variant: Variant = Variant.CPU
    bases: Mapping[str, str] = {}
    """References to use instead of those in ``bases.toml``, by the same names."""
    source: str = ""
    """Address of the source code, for the images' labels."""


def build_images(engine: Engine, images: Iterable[Image], options: BuildOptions) -> Iterator[Built]:
    """Build images in the order given, and yield each when it is there.

    Raises:
        ImageError: a build failed.
    """
    labels = source_labels(options.source)
    with pip_settings() as pip:
        for image in images:
            start = time.monotonic()
            logger.info("building %s", image.tag())
            engine.build(
                BuildRequest(
                    tag=image.tag(),
                    dockerfile=ROOT / image.dockerfile,
                    context=ROOT,
                    target=image.target,
                    arguments=_declared(
                        ROOT / image.dockerfile,
                        base_argument(image, options) | {"VARIANT": options.variant} | labels,
                    ),
                    secrets=pip.secrets,
                    folders=pip.folders,
                )
            )
            yield Built(image, time.monotonic() - start)


def base_argument(image: Image, options: BuildOptions) -> dict[str, str]:
    """The build argument that says what an image stands on: a digest where one is known."""
    if image.base in _OURS:
        return {"BASE": _OURS[image.base].tag()}
    name = image.base
    # Without a GPU, Triton comes in a wheel, onto the image that the others stand on too.
    if name == "triton" and options.variant is Variant.CPU:
        name = "python"
    tag = third_party()[name]
    chosen = options.bases.get(name) or read_lock(BASES_LOCK).get(tag) or tag
    return {"BASE_IMAGE": chosen}


def _declared(dockerfile: Path, arguments: Mapping[str, str]) -> dict[str, str]:
    """Those of the arguments that a Dockerfile knows: engines warn of others."""
    known = set(re.findall(r"^ARG (\w+)", dockerfile.read_text(encoding="utf-8"), re.MULTILINE))
    return {name: value for name, value in arguments.items() if name in known}


def source_labels(source: str) -> dict[str, str]:
    """Values of the OCI labels: of the commit, not of the moment, so that builds repeat."""
    changed = _git("status", "--porcelain", "--untracked-files=no")
    return {
        "VERSION": project_version(),
        "REVISION": _git("rev-parse", "HEAD") + ("-changed" if changed else ""),
        "SOURCE": source,
        "CREATED": _git("show", "--no-patch", "--format=%cI", "HEAD"),
    }


def _git(*arguments: str) -> str:
    """What git answers; empty where the source is no checkout."""
    answer = subprocess.run(
        ["git", *arguments],
        cwd=ROOT,
        env=os.environ | {"GIT_OPTIONAL_LOCKS": "0"},
        capture_output=True,
        text=True,
        check=False,
    )
    return answer.stdout.strip() if answer.returncode == 0 else ""
