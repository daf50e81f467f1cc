"""``python -m manifests.site``: one cluster's kustomization, of an overlay, components and images.

It says where our images are, by the digests that ``make push`` noted or by a registry's prefix.
What else is different on the cluster is written into it by hand; it is not written over.
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
from manifests.images.locks import IMAGES_LOCK, read_lock
from spatialreward.cli.command import CommandGroup
from spatialreward.errors import InvalidInputError

_HERE = Path(__file__).parent
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
    KSERVE = "kserve"
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

    Raises:
        InvalidInputError: the parts do not fit together.
    """
    if Component.KSERVE in components and overlay is not Overlay.GPU:
        raise InvalidInputError("component kserve: needs --overlay gpu, it asks for GPUs")

    def path(name: str) -> str:
        return os.path.relpath(_HERE / name, folder)

    # The list of images reaches into a ConfigMap by these replacements only, and those of a folder
    # run before the images of a folder that includes it.
    carried = yaml.safe_load((_HERE / "components/images/kustomization.yaml").read_text())
    return {
        "apiVersion": "kustomize.config.k8s.io/v1beta1",
        "kind": "Kustomization",
        "resources": [path(f"overlays/{overlay}")],
        "components": [path(f"components/{one}") for one in Component if one in components],
        "images": list(images),
        "replacements": carried["replacements"],
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


@app.callback()
def group() -> None:
    """Keep `write` a subcommand."""


@app.command()
def write(
    out: Annotated[Path, typer.Argument(help="Folder to make.")],
    overlay: Annotated[Overlay, typer.Option(help="What kind of cluster it is.")],
    component: Annotated[
        list[Component] | None, typer.Option(help="What is exchanged; may be given again.")
    ] = None,
    registry: Annotated[
        str, typer.Option(metavar="PREFIX", help="Of images that were pushed by hand.")
    ] = "",
) -> None:
    """Write one cluster's kustomization. Without --registry, images.lock says where images are."""
    file = out / "kustomization.yaml"
    if file.exists():
        raise InvalidInputError(f"{file}: is there already")
    images = prefixed_images(registry) if registry else pinned_images(read_lock(IMAGES_LOCK))
    if not images:
        where = IMAGES_LOCK.relative_to(ROOT)
        raise InvalidInputError(f"{where}: is not there: run `make push`, or give --registry")
    found = site(out.resolve(), overlay, component or [], images)
    out.mkdir(parents=True, exist_ok=True)
    file.write_text(_COMMENT + yaml.safe_dump(found, sort_keys=False), encoding="utf-8")
    typer.echo(f"{file} is written: kubectl apply --server-side -k {json.dumps(str(out))}")


if __name__ == "__main__":
    app()
