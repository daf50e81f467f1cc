"""Which images there are, from which Dockerfile each is built, and what it stands on."""

import tomllib
from enum import StrEnum
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[2]
BASES_FILE = Path(__file__).with_name("bases.toml")
PREFIX = "spatialreward"


class Variant(StrEnum):
    """What torch computes on."""

    CPU = "cpu"
    CUDA = "cuda"


class Image(NamedTuple):
    """One image of ours."""

    name: str
    dockerfile: str
    """Relative to the root of the repository."""
    base: str
    """Name of the image of ours that it stands on, or of one in ``bases.toml``."""
    target: str = ""
    """Stage of the Dockerfile; the last one by default."""
    pushed: bool = True
    """False for what only others of ours stand on."""

    def tag(self) -> str:
        """The image's name with its version, as it is called on the machine that built it."""
        return f"{PREFIX}/{self.name}:{project_version()}"


def _component(name: str, base: str) -> Image:
    return Image(name, f"components/{name.replace('-', '_')}/Dockerfile", base)


IMAGES = (
    Image("base", "components/base.Dockerfile", "python", target="base", pushed=False),
    Image("torch", "components/base.Dockerfile", "python", target="torch", pushed=False),
    _component("data-building", "base"),
    _component("reward-training", "torch"),
    _component("reward-evaluation", "torch"),
    _component("reward-deployment", "base"),
    _component("rl-finetuning", "torch"),
    _component("editor-evaluation", "torch"),
    Image("serving", "serving/Dockerfile", "triton"),
    Image("mlflow", "manifests/images/mlflow/Dockerfile", "python"),
)
"""In the order in which they are built."""


def with_bases(names: set[str]) -> tuple[Image, ...]:
    """The named images and those of ours that they stand on, in the order of building."""
    wanted = set(names)
    for image in reversed(IMAGES):
        if image.name in wanted:
            wanted.add(image.base)
    return tuple(image for image in IMAGES if image.name in wanted)


def third_party() -> dict[str, str]:
    """References of the images of others, by what they are to us."""
    return tomllib.loads(BASES_FILE.read_text(encoding="utf-8"))["images"]


def project_version() -> str:
    """The version that every image of ours carries."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return project["version"]
