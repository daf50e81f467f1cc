"""``python -m manifests.images``: build, pin, push, with docker, podman or buildah."""

import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from enum import StrEnum
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Any

import typer

from manifests.images.catalogue import BASES_FILE, COMPOSE_FILE, IMAGES, ROOT, Image, third_party
from pipelines.images import LOCK_FILE, read_lock
from spatialreward.cli.command import CommandGroup
from spatialreward.errors import SpatialRewardError

_COMPOSE = Path(sys.executable).with_name("docker-compose")
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")

app = typer.Typer(
    cls=CommandGroup,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Builds, pins and pushes the container images.",
)


class ImageError(SpatialRewardError, RuntimeError):
    """An image cannot be built, found or pushed; one line says which, and why."""


class Engine(StrEnum):
    """Container engines, in the order in which they are tried."""

    DOCKER = "docker"
    PODMAN = "podman"
    BUILDAH = "buildah"


class Variant(StrEnum):
    """What torch computes on."""

    CPU = "cpu"
    CUDA = "cuda"


EngineOption = Annotated[
    Engine | None,
    typer.Option("--engine", envvar="CONTAINER_ENGINE", help="By default, the first that works."),
]
Only = Annotated[
    list[str] | None, typer.Option("--only", metavar="NAME", help="This image; may be repeated.")
]
Options = Annotated[
    list[str] | None,
    typer.Argument(envvar="ENGINE_OPTIONS", help="Further options of the engine, after `--`."),
]


@app.command()
def build(
    variant: Annotated[
        Variant, typer.Option(envvar="VARIANT", help="What torch computes on.")
    ] = Variant.CPU,
    only: Only = None,
    engine: EngineOption = None,
    options: Options = None,
) -> None:
    """Build the images of compose.yaml, each after the one that it stands on."""
    found = find_engine(engine)
    chosen = _chosen(only)
    tags = {image.tag for image in chosen} | {image.base for image in chosen}
    project = _resolved(variant)
    services = {service["image"]: service["build"] for service in project["services"].values()}
    for tag in [image.tag for image in IMAGES if image.tag in tags]:
        start = time.monotonic()
        command = build_command(found, tag, services[tag], project["secrets"], options or [])
        if status := subprocess.run(command, check=False).returncode:
            raise ImageError(f"{tag}: {found} build ended with status {status}")
        typer.echo(f"{tag}: {time.monotonic() - start:.0f} s")


@app.command()
def pin(engine: EngineOption = None) -> None:
    """Resolve the digests of the images of others, and write them to bases.env."""
    found = find_engine(engine)
    failed = []
    for name, tag in third_party().items():
        try:
            pinned = f"{tag}@{resolve_digest(found, tag)}"
        except ImageError as error:
            failed.append(tag)
            typer.echo(f"{tag}: not resolved: {error}", err=True)
            continue
        text = BASES_FILE.read_text("utf-8")
        text = re.sub(rf"^{name}=.*$", f"{name}={pinned}", text, flags=re.MULTILINE)
        BASES_FILE.write_text(text, "utf-8")
        typer.echo(pinned)
    if failed:
        raise ImageError(f"{', '.join(failed)}: not resolved; {BASES_FILE.name} keeps what it had")


@app.command()
def push(
    registry: Annotated[
        str, typer.Option(envvar="REGISTRY", help="Host of the registry, with a path if any.")
    ],
    only: Only = None,
    engine: EngineOption = None,
    options: Options = None,
) -> None:
    """Push the images and write the digests that the pushes report to images.lock."""
    found = find_engine(engine)
    lock = ROOT / LOCK_FILE
    entries = dict(read_lock(lock)) if lock.exists() else {}
    for image in _chosen(only):
        if image.pushed:
            target = f"{registry.rstrip('/')}/{image.tag}"
            digest = push_image(found, image.tag, target, options or [])
            entries[image.tag] = f"{target.rpartition(':')[0]}@{digest}"
            # After each push, so that a failure loses no digest.
            _write_lock(lock, entries)
            typer.echo(f"{image.tag}: {entries[image.tag]}")


def find_engine(wanted: Engine | None = None) -> Engine:
    """The wanted engine, or the first that works on this machine.

    Raises:
        ImageError: none works; names the reason of each.
    """
    reasons = []
    for engine in [wanted] if wanted else Engine:
        try:
            # A docker client without its daemon is installed, and of no use.
            _ask(engine, "info")
        except ImageError as error:
            reasons.append(str(error))
        else:
            return engine
    raise ImageError(f"no container engine works here ({'; '.join(reasons)})")


def build_command(
    engine: Engine,
    tag: str,
    build: Mapping[str, Any],
    secrets: Mapping[str, Mapping[str, str]],
    options: list[str],
) -> list[str]:
    """The command that builds one entry of compose.yaml, as compose resolves it."""
    command = [engine, "build", f"--file={ROOT / build['dockerfile']}", f"--tag={tag}"]
    # The others reuse layers by default.
    command += ["--layers"] if engine is Engine.BUILDAH else []
    command += [f"--target={build['target']}"] if "target" in build else []
    command += [f"--build-arg={name}={value}" for name, value in build["args"].items()]
    command += [f"--label={name}={value}" for name, value in build["labels"].items()]
    for secret in build["secrets"]:
        if (path := secrets[secret["source"]]["file"]) != os.devnull:
            command.append(f"--secret=id={secret['source']},src={path}")
    return [*command, *options, build["context"]]


def push_image(engine: Engine, tag: str, target: str, options: list[str]) -> str:
    """Push an image under another name; returns the digest that the push reported.

    Raises:
        ImageError: the push failed, or reported no digest.
    """
    if engine is Engine.DOCKER:
        _ask(engine, "tag", tag, target)
        return _digest_in(_ask(engine, "push", *options, target), target)
    with TemporaryDirectory() as folder:
        report = Path(folder) / "digest"
        _ask(engine, "push", f"--digestfile={report}", *options, tag, f"docker://{target}")
        return _digest_in(report.read_text(encoding="utf-8"), target)


def resolve_digest(engine: Engine, tag: str) -> str:
    """The digest of a tag in its registry: of the index, where there is one, for all platforms.

    Raises:
        ImageError: the registry has no such image, or the program that asks it is not installed.
    """
    if engine is Engine.DOCKER:
        template = "--format={{.Manifest.Digest}}"
        return _digest_in(_ask(engine, "buildx", "imagetools", "inspect", template, tag), tag)
    # Podman and buildah ask a registry only by pulling; skopeo is of the same family.
    template = "--format={{.Digest}}"
    return _digest_in(_ask("skopeo", "inspect", "--no-tags", template, f"docker://{tag}"), tag)


def _ask(program: str | Path, *arguments: str, **options: Any) -> str:
    """Standard output of a program; an ImageError with its last line where it fails."""
    if shutil.which(program) is None:
        raise ImageError(f"{program}: not installed")
    command = [program, *arguments]
    answer = subprocess.run(command, capture_output=True, text=True, check=False, **options)
    if answer.returncode:
        last = (answer.stderr or answer.stdout).strip().splitlines()[-1:]
        raise ImageError(f"{program} {' '.join(arguments)}: {' '.join(last)[:300]}")
    return answer.stdout


def _digest_in(text: str, what: str) -> str:
    found = _DIGEST.findall(text)
    if not found:
        raise ImageError(f"{what}: expected a digest, got {text.strip()[-200:]!r}")
    return found[-1]


def _resolved(variant: Variant) -> dict[str, Any]:
    """compose.yaml with this machine's variables, and the labels of the source's commit."""
    variables = {"VARIANT": variant.value}
    git = {"cwd": ROOT, "env": os.environ | {"GIT_OPTIONAL_LOCKS": "0"}}
    describe = ("describe", "--always", "--abbrev=40", "--exclude=*", "--dirty=-changed")
    # Sources without a history have no commit.
    with suppress(ImageError):
        variables["IMAGE_REVISION"] = _ask("git", *describe, **git).strip()
        variables["IMAGE_CREATED"] = _ask("git", "show", "-s", "--format=%cI", **git).strip()
    files = [f"--file={COMPOSE_FILE}", f"--env-file={BASES_FILE}", f"--profile={variant}"]
    return json.loads(_ask(_COMPOSE, *files, "config", "--format=json", env=os.environ | variables))


def _write_lock(path: Path, entries: Mapping[str, str]) -> None:
    """Write a lock in one step, sorted, so that only an image that changed changes it."""
    lines = ["# Written by `make push`: digests that the registry has of our images.", "[images]"]
    lines += [f'"{name}" = "{entries[name]}"' for name in sorted(entries)]
    unfinished = path.with_name(path.name + ".partial")
    unfinished.write_text("\n".join(lines) + "\n", encoding="utf-8")
    unfinished.rename(path)


def _chosen(only: list[str] | None) -> list[Image]:
    known = [image.name for image in IMAGES]
    if unknown := set(only or ()) - set(known):
        raise ImageError(
            f"--only {min(unknown)}: no such image, expected one of {', '.join(known)}"
        )
    return [image for image in IMAGES if image.name in (only or known)]


if __name__ == "__main__":
    app()
