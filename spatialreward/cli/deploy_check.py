"""``spatialreward deploy check``: whether a version that no client asks yet may be served."""

from pathlib import Path
from typing import Annotated

import typer

from spatialreward.cli.deploy_options import edits_of


def check(
    endpoint: Annotated[
        str, typer.Option(metavar="HOST:PORT", help="Triton's gRPC address of the new version.")
    ],
    version: Annotated[int, typer.Option(min=1, help="The version's number on that server.")],
    beside: Annotated[
        str | None,
        typer.Option(
            metavar="HOST:PORT",
            help="Triton's gRPC address of the served version, to compare the new one with on the "
            "probe edits.",
        ),
    ] = None,
    config: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE.toml",
            envvar="SPATIALREWARD_DEPLOYER_CONFIG",
            help="The deployer's settings, of which this reads smoke_edits, probe_edits, bounds "
            "and the model's name.",
        ),
    ] = None,
) -> None:
    """Ask a version the smoke edits, and compare it with the served one on the probe edits.

    In a cluster Argo Rollouts runs this before a new version gets a request: the AnalysisTemplate
    judge-check. The last line on standard error says why a version did not pass.

    Exit status: 0 it passed; 1 it is no good; 3 it could not be told, try again: a server does
    not answer, or the served version is too busy to be compared with.

    Example: spatialreward deploy check --endpoint judge-canary:8001 --version 7 --beside judge:8001
    """
    from spatialreward.ops.config import read_toml
    from spatialreward.ops.deployer.config import DeployerConfig, KubernetesBackend
    from spatialreward.ops.deployer.probes import Judge, check_trial
    from spatialreward.ops.deployer.rollout import TRY_AGAIN
    from spatialreward.ops.deployment.errors import NothingKnown
    from spatialreward.ops.deployment.smoke import check_answers

    settings = (
        read_toml(DeployerConfig, config) if config else DeployerConfig(backend=KubernetesBackend())
    )
    smoke, probes = edits_of(settings.smoke_edits), edits_of(settings.probe_edits)
    name = settings.backend.model
    try:
        check_answers(endpoint, name, version, smoke)
        if beside and probes:
            check_trial(Judge(beside, name), Judge(endpoint, name), probes, settings.bounds)
    except NothingKnown as error:
        typer.echo(f"error: {' '.join(str(error).split())}", err=True)
        raise typer.Exit(TRY_AGAIN) from error
    asked = f"{len(smoke)} smoke edits, {len(probes) if beside else 0} probe edits"
    typer.echo(f"{name}/{version} at {endpoint} passes: {asked}")
