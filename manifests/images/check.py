"""Checks what was built: what an image is like from inside, and whether its step works there."""

import json
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from manifests.images.catalogue import IMAGES, Image
from manifests.images.chain import run_chain
from manifests.images.containers import USER, Container, run
from manifests.images.engine import Engine
from manifests.images.errors import ImageError

_PROBE = Path(__file__).with_name("probe.py").read_text(encoding="utf-8")
_LABELS = ("title", "licenses", "version", "revision", "created")


class Outcome(NamedTuple):
    """What one check of an image said."""

    image: str
    what: str
    passed: bool
    said: str


def check_images(engine: Engine, images: Sequence[Image]) -> Iterator[Outcome]:
    """Check images one after the other, then all steps of the pipeline, each in its image.

    The steps need one another's results: they run only when all images are checked.

    Raises:
        ImageError: this engine cannot run an image.
    """
    checked = [image for image in images if image.pushed]
    for image in checked:
        yield _outcome(image.name, "labels and user", lambda image=image: _labels(engine, image))
        yield _outcome(image.name, "inside", lambda image=image: _inside(engine, image))
        yield _outcome(image.name, "--help", lambda image=image: _help(engine, image))
    if checked == [image for image in IMAGES if image.pushed]:
        yield from (Outcome(*result) for result in run_chain(engine))


def _outcome(image: str, what: str, check: Callable[[], str]) -> Outcome:
    start = time.monotonic()
    try:
        said = check()
    except ImageError as error:
        return Outcome(image, what, False, f"FAILED: {error}")
    return Outcome(image, what, True, f"{said} ({time.monotonic() - start:.1f} s)")


def _labels(engine: Engine, image: Image) -> str:
    config = engine.inspect(image.tag())["Config"]
    labels = config.get("Labels") or {}
    missing = [name for name in _LABELS if not labels.get(f"org.opencontainers.image.{name}")]
    if missing:
        raise ImageError(f"{image.tag()}: no label {', '.join(missing)}")
    if config.get("User") != USER:
        raise ImageError(f"{image.tag()}: expected user {USER}, got {config.get('User')!r}")
    return f"user {USER}, revision {labels['org.opencontainers.image.revision'][:12]}"


def _inside(engine: Engine, image: Image) -> str:
    constraints = "constraints-triton.txt" if image.name == "serving" else "constraints.txt"
    modules = modules_of(image)
    arguments = ["-c", _PROBE, f"/opt/venv/{constraints}", *modules]
    answer = run(engine, Container(image.tag(), arguments, entrypoint="/opt/venv/bin/python"))
    found = json.loads(answer.splitlines()[-1])
    if found.pop("user") != USER:
        raise ImageError(f"{image.tag()}: is not run as {USER}")
    if wrong := {name: value for name, value in found.items() if value}:
        raise ImageError(f"{image.tag()}: {json.dumps(wrong)}")
    return f"read-only, no compiler, every package pinned, imports {' '.join(modules)}"


def modules_of(image: Image) -> list[str]:
    """What an image is there to import."""
    match image.name:
        case "serving":
            return ["torch", "transformers", "spatialreward.serving.server"]
        case "mlflow":
            return ["mlflow.server", "psycopg2", "boto3"]
        case _:
            package = f"components.{image.name.replace('-', '_')}"
            return [f"{package}.component", f"{package}.steps"]


def _help(engine: Engine, image: Image) -> str:
    # Triton 2.51 tells it to standard error, and ends as if something were wrong.
    said = run(engine, Container(image.tag(), ["--help"]), int(image.name == "serving"))
    if "usage" not in said.lower():
        raise ImageError(f"{image.tag()}: --help does not say how it is used")
    return "says how it is used"
