"""``spatialreward evaluate``: measure a registered judge, so that it can be promoted."""

from typing import Annotated

import typer


def evaluate(
    version: Annotated[
        int, typer.Option(min=1, metavar="N", help="The version in the registry to measure.")
    ],
    name: Annotated[
        str, typer.Option(metavar="NAME", help="The registered model.")
    ] = "spatial-reward",
    heldout: Annotated[
        str | None,
        typer.Option(
            metavar="S3_REF",
            help="Held-out edits, s3://BUCKET/PREFIX#sha256=HEX. Default: those on which the "
            "champion was measured.",
        ),
    ] = None,
) -> None:
    """Measure a registered judge on held-out edits, and store the report.

    The pipeline does this before it registers a judge. This is for a version that was registered by
    hand, or that is to be measured on other edits: promote and deploy take only versions whose
    report is about their files. The report goes into the object store, the version's tag
    `evaluation` points there.
    """
    from spatialreward.artifacts import ArtifactRef
    from spatialreward.ops.registered import evaluate_version
    from spatialreward.ops.registry import ModelVersion

    edits = ArtifactRef.parse(heldout) if heldout else None
    report = evaluate_version(ModelVersion(name, version), edits)
    for figure, value in report.figures.items():
        typer.echo(f"{figure} {value:.4f}")
