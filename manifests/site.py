"""``python -m manifests.site``: one cluster's kustomization, of an overlay, components and images.

``OUT/kustomization.yaml`` is written once, for changes by hand; ``OUT/images`` is a component that
names our images by the digests that ``make push`` noted or by a registry's prefix, and is written
again after each push. ``kustomize edit set image`` could do that, but kubectl, the one kustomize
here, only builds.
"""

import json
import os
from collections.abc import Mapping, Sequence
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer
import yaml

from manifests.images.catalogue import IMAGES, ROOT
from pipelines.images import LOCK_FILE, read_lock
from spatialreward.cli.command import CommandGroup
from spatialreward.errors import InvalidInputError

IMAGES_LOCK = ROOT / LOCK_FILE
_HERE = Path(__file__).parent
_FILE = "kustomization.yaml"
_RESTORE, _OUR_IMAGES = "restore", "images"
_COMMENT = "# Made by `python -m manifests.site`; "
_BY_HAND = _COMMENT + "write the rest of what is different here by hand.\n"
_BY_COMMAND = _COMMENT + "`images` overwrites it.\n"

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


def site(folder: Path, overlay: Overlay, components: Sequence[Component]) -> dict[str, Any]:
    """The kustomization of a folder, which has ``images_component`` in its own ``images``.

    Args:
        folder: where it will lie.
        overlay: what it begins with.
        components: what is exchanged.
    """

    def path(name: str) -> str:
        return os.path.relpath(_HERE / name, folder)

    exchanged = [path(f"components/{one}") for one in Component if one in components]
    return {
        "apiVersion": "kustomize.config.k8s.io/v1beta1",
        "kind": "Kustomization",
        "resources": [path(f"overlays/{overlay}")],
        "components": [*exchanged, _OUR_IMAGES],
        # Maps that are merged by hand keep the names by which pods of judges and steps know them.
        "generatorOptions": {"disableNameSuffixHash": True},
    }


def images_component(images: Sequence[Mapping[str, str]]) -> dict[str, Any]:
    """The component that names images, given as entries of kustomize's list."""
    return {
        "apiVersion": "kustomize.config.k8s.io/v1alpha1",
        "kind": "Component",
        "images": list(images),
    }


def restoring(folder: Path) -> dict[str, Any]:
    """The kustomization of a folder beside ``images`` that brings a backup back."""
    return {
        "apiVersion": "kustomize.config.k8s.io/v1beta1",
        "kind": "Kustomization",
        "resources": [os.path.relpath(_HERE / _RESTORE, folder)],
        "components": [f"../{_OUR_IMAGES}"],
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


def _images(registry: str) -> list[dict[str, str]]:
    if registry:
        return prefixed_images(registry)
    lock = read_lock(IMAGES_LOCK) if IMAGES_LOCK.exists() else {}
    tags = [image.tag for image in IMAGES if image.pushed]
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
    made = site(out.resolve(), overlay, component or [])
    _write(out, made, _BY_HAND)
    _write(out / _RESTORE, restoring(out.resolve() / _RESTORE), _BY_HAND)
    _write(out / _OUR_IMAGES, images_component(images), _BY_COMMAND)
    typer.echo(f"{out / _FILE} is written: kubectl apply -k {json.dumps(str(out))}")


@app.command("images")
def renew(
    folder: Annotated[Path, typer.Argument(help="A folder that `write` has made.")],
    registry: Registry = "",
) -> None:
    """Write FOLDER/images again, after `make push`."""
    out = folder / _OUR_IMAGES
    if not (out / _FILE).exists():
        raise InvalidInputError(f"{out / _FILE}: not found; `write` makes it")
    _write(out, images_component(_images(registry)), _BY_COMMAND)
    typer.echo(f"{out / _FILE} names the new images")


def _write(folder: Path, kustomization: Mapping[str, Any], comment: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    text = comment + yaml.safe_dump(kustomization, sort_keys=False)
    (folder / _FILE).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    app()
