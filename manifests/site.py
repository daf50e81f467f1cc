"""``python -m manifests.site``: one cluster's kustomization, of an overlay, components and images.

It says where our images are, by the digests that ``make push`` noted or by a registry's prefix.
What else is different on the cluster is written into it by hand, and stays: ``images`` replaces
nothing but where our images are.
"""

import json
import os
import re
from collections.abc import Mapping, Sequence
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer
import yaml

from manifests.images.catalogue import IMAGES
from manifests.images.locks import IMAGES_LOCK, read_lock
from spatialreward.cli.command import CommandGroup
from spatialreward.errors import InvalidInputError

_HERE = Path(__file__).parent
_FILE = "kustomization.yaml"
_RESTORE = "restore"
_IMAGES = re.compile(r"^images:.*\n(?:(?:[ \t]*(?:#.*)?\n)*(?:- | ).*\n)*", re.MULTILINE)
"""The list of that name, with comments between its entries."""
_COMMENT = (
    "# Made by `python -m manifests.site`; write the rest of what is different here by hand.\n"
)

app = typer.Typer(
    cls=CommandGroup,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="One cluster's kustomization.",
)


class Overlay(StrEnum):
    """What kind of cluster it is."""

    LOCAL = "local"
    GPU = "gpu"


class Component(StrEnum):
    """A part that is exchanged, in the order in which they are applied."""

    EXTERNAL_S3 = "external-s3"
    GATEWAY = "gateway"
    EXTERNAL_SECRETS = "external-secrets"


def site(
    folder: Path, overlay: Overlay, components: Sequence[Component], images: Sequence[Any]
) -> dict[str, Any]:
    """The kustomization of a folder.

    Args:
        folder: where it will lie.
        overlay: what it begins with.
        components: what is exchanged.
        images: entries of kustomize's list of that name.
    """

    def path(name: str) -> str:
        return os.path.relpath(_HERE / name, folder)

    return {
        "apiVersion": "kustomize.config.k8s.io/v1beta1",
        "kind": "Kustomization",
        "resources": [path(f"overlays/{overlay}")],
        "components": [path(f"components/{one}") for one in Component if one in components],
        "images": list(images),
        # Maps that are merged by hand keep the names by which pods of judges and steps know them.
        "generatorOptions": {"disableNameSuffixHash": True},
    }


def pinned_images(lock: Mapping[str, str]) -> list[dict[str, str]]:
    """Entries of kustomize's `images` from a lock's names and references with digests."""
    entries = []
    for name, reference in lock.items():
        repository, _, digest = reference.partition("@")
        entries.append({"name": name.partition(":")[0], "newName": repository, "digest": digest})
    return entries


def prefixed_images(prefix: str) -> list[dict[str, str]]:
    """Entries of kustomize's `images` for a registry, with the tags that the manifests have."""
    names = [f"spatialreward/{image.name}" for image in IMAGES if image.pushed]
    return [{"name": name, "newName": f"{prefix.rstrip('/')}/{name}"} for name in names]


def restoring(folder: Path, images: Sequence[Any]) -> dict[str, Any]:
    """The kustomization of a folder that brings a backup back, with the same images."""
    return {
        "apiVersion": "kustomize.config.k8s.io/v1beta1",
        "kind": "Kustomization",
        "resources": [os.path.relpath(_HERE / _RESTORE, folder)],
        "images": list(images),
    }


def renewed(file: Path, images: Sequence[Mapping[str, str]]) -> str:
    """The text of a kustomization with our images where they are now.

    Raises:
        InvalidInputError: there is no such file, or its list of images is not told from the rest.
    """
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidInputError(f"{file}: cannot be read: {error}") from error
    told = _mapping(text)
    ours = {one["name"] for one in images}
    others = [one for one in told.get("images") or [] if one.get("name") not in ours]
    wanted = {"images": [*images, *others]}
    block = yaml.safe_dump(wanted, sort_keys=False)
    changed = _IMAGES.sub(lambda _: block, text, count=1)
    if _mapping(changed) != told | wanted:
        raise InvalidInputError(
            f"{file}: expected a kustomization with `images` as `write` makes it"
        )
    return changed


def _mapping(text: str) -> dict[str, Any]:
    """What a YAML text says; nothing if it is something else."""
    try:
        found = yaml.safe_load(text)
    except yaml.YAMLError:
        return {}
    return found if isinstance(found, dict) else {}


def _images(registry: str) -> list[dict[str, str]]:
    if registry:
        return prefixed_images(registry)
    lock = read_lock(IMAGES_LOCK)
    tags = [image.tag() for image in IMAGES if image.pushed]
    # One of an older version would be taken for this one's.
    if missing := [tag for tag in tags if tag not in lock]:
        raise InvalidInputError(
            f"{IMAGES_LOCK.name}: {missing[0]} is not there: run `make push`, or give --registry"
        )
    return pinned_images({tag: lock[tag] for tag in tags})


Registry = Annotated[
    str, typer.Option(metavar="PREFIX", help="Of images that were pushed by hand.")
]


@app.command()
def write(
    out: Annotated[Path, typer.Argument(help="Folder to make.")],
    overlay: Annotated[Overlay, typer.Option(help="What kind of cluster it is.")],
    component: Annotated[
        list[Component] | None, typer.Option(help="What is exchanged; may be given again.")
    ] = None,
    registry: Registry = "",
) -> None:
    """Write one cluster's kustomization. Without --registry, images.lock says where images are."""
    if (out / _FILE).exists():
        raise InvalidInputError(f"{out / _FILE}: is there already")
    images = _images(registry)
    made = {
        out: site(out.resolve(), overlay, component or [], images),
        out / _RESTORE: restoring(out.resolve() / _RESTORE, images),
    }
    for folder, found in made.items():
        folder.mkdir(parents=True, exist_ok=True)
        text = _COMMENT + yaml.safe_dump(found, sort_keys=False)
        (folder / _FILE).write_text(text, encoding="utf-8")
    typer.echo(f"{out / _FILE} is written: kubectl apply -k {json.dumps(str(out))}")


@app.command("images")
def renew(
    folder: Annotated[Path, typer.Argument(help="A folder that `write` has made.")],
    registry: Registry = "",
) -> None:
    """Write anew where our images are, after `make push`; all else in the files stays."""
    images = _images(registry)
    files = [folder / _FILE, folder / _RESTORE / _FILE]
    for file, text in [(file, renewed(file, images)) for file in files]:
        file.write_text(text, encoding="utf-8")
        typer.echo(f"{file} names the images of now")


if __name__ == "__main__":
    app()
