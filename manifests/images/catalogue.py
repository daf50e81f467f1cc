"""Which images there are: ours, as compose.yaml has them, and those of others in bases.env."""

import re
from pathlib import Path
from typing import NamedTuple

import yaml

ROOT = Path(__file__).parents[2]
COMPOSE_FILE = Path(__file__).with_name("compose.yaml")
BASES_FILE = Path(__file__).with_name("bases.env")


class Image(NamedTuple):
    """One image of ours."""

    tag: str
    """``spatialreward/NAME:VERSION``."""
    dockerfile: str
    """Relative to the root of the repository."""
    base: str
    """Tag of the image of ours that it stands on; empty for one of others."""

    @property
    def name(self) -> str:
        """The part of the tag after the slash, without the version."""
        return self.tag.partition("/")[2].partition(":")[0]

    @property
    def pushed(self) -> bool:
        """Whether a cluster pulls the image; no, if it is only what others stand on."""
        return all(self.tag != image.base for image in IMAGES)


def _read() -> tuple[Image, ...]:
    services = yaml.safe_load(COMPOSE_FILE.read_text(encoding="utf-8"))["services"]
    builds = {service["image"]: service["build"] for service in services.values()}
    return tuple(
        Image(tag, build["dockerfile"], build["args"].get("BASE", ""))
        for tag, build in builds.items()
    )


IMAGES = _read()
"""In the order in which they are built."""


def third_party() -> dict[str, str]:
    """Tags of the images of others, without their digests, by the variables of ``bases.env``."""
    text = BASES_FILE.read_text(encoding="utf-8")
    return dict(re.findall(r"^(\w+)=([^@\s]+)", text, re.MULTILINE))
