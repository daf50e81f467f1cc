"""``python -m manifests.images``: build, check, pin, push."""

import logging
from typing import Annotated

import typer

from manifests.images.catalogue import IMAGES, Image, Variant, third_party, with_bases
from manifests.images.engine import Kind, find_engine
from manifests.images.errors import ImageError
from manifests.images.locks import BASES_LOCK, IMAGES_LOCK
from spatialreward.cli.command import CommandGroup, configure_logging

app = typer.Typer(
    cls=CommandGroup,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Builds, checks, pins and pushes the container images.",
)

EngineOption = Annotated[
    Kind | None,
    typer.Option("--engine", envvar="CONTAINER_ENGINE", help="By default, whichever works here."),
]
Only = Annotated[
    list[str] | None, typer.Option("--only", metavar="NAME", help="This image; may be repeated.")
]


@app.callback()
def configure(
    verbose: Annotated[bool, typer.Option(help="Log every detail to standard error.")] = False,
) -> None:
    """Set up logging for the command that follows."""
    configure_logging(verbose=verbose)
    logging.getLogger("manifests").setLevel(logging.INFO)


@app.command()
def build(
    variant: Annotated[
        Variant, typer.Option(envvar="VARIANT", help="What torch computes on.")
    ] = Variant.CPU,
    base_image: Annotated[
        str, typer.Option(envvar="BASE_IMAGE", help="Instead of the Python image.")
    ] = "",
    triton_image: Annotated[
        str, typer.Option(envvar="TRITON_IMAGE", help="Instead of Triton's, for CUDA.")
    ] = "",
    source: Annotated[
        str, typer.Option(envvar="IMAGE_SOURCE", help="Address of the source, for the labels.")
    ] = "",
    only: Only = None,
    engine: EngineOption = None,
) -> None:
    """Build the images with docker, podman or buildah."""
    from manifests.images.build import BuildOptions, build_images

    found = find_engine(engine)
    bases = {"python": base_image, "triton": triton_image}
    options = BuildOptions(variant, {name: ref for name, ref in bases.items() if ref}, source)
    for built in build_images(found, with_bases(_names(only)), options):
        size = found.inspect(built.image.tag()).get("Size")
        shown = f"{size / 1e6:.0f} MB, " if size else ""
        typer.echo(f"{built.image.tag()}: {shown}{built.seconds:.0f} s")


@app.command()
def check(only: Only = None, engine: EngineOption = None) -> None:
    """Run each image as a cluster would, a step of the tiny profile in each."""
    from manifests.images.check import check_images

    failed = False
    for outcome in check_images(find_engine(engine), _chosen(only)):
        failed = failed or not outcome.passed
        typer.echo(f"{outcome.image}: {outcome.what}: {outcome.said}")
    if failed:
        raise ImageError("not every image is as it should be")


@app.command()
def pin() -> None:
    """Resolve the digests of the images of others, where their registries can be reached."""
    from manifests.images.pins import pin as pin_tags

    pinned = pin_tags(third_party().values(), BASES_LOCK)
    for tag, reference in pinned.resolved.items():
        typer.echo(f"{tag}: {reference}")
    for tag, reason in pinned.failed.items():
        typer.echo(f"{tag}: not resolved: {reason}", err=True)
    if pinned.failed:
        raise ImageError(f"{len(pinned.failed)} of {len(third_party())} images were not resolved")


@app.command()
def push(
    registry: Annotated[
        str, typer.Option(envvar="REGISTRY", help="Host of the registry, with a path if any.")
    ],
    only: Only = None,
    engine: EngineOption = None,
) -> None:
    """Push the images and write the digests that the pushes report to images.lock."""
    from manifests.images.pins import push_images

    images = [image for image in _chosen(only) if image.pushed]
    for tag, reference in push_images(find_engine(engine), images, registry, IMAGES_LOCK).items():
        typer.echo(f"{tag}: {reference}")


def _names(only: list[str] | None) -> set[str]:
    known = {image.name for image in IMAGES}
    if unknown := set(only or ()) - known:
        raise ImageError(
            f"--only {min(unknown)}: no such image, expected one of {', '.join(sorted(known))}"
        )
    return set(only or known)


def _chosen(only: list[str] | None) -> list[Image]:
    names = _names(only)
    return [image for image in IMAGES if image.name in names]


if __name__ == "__main__":
    app()
