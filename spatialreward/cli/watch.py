"""``spatialreward deploy watch``: the deployer, which has the registry's champion served."""

import logging
import os
import sys
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from spatialreward.cli.command import sigterm_as_exit
from spatialreward.cli.deploy_options import (
    ENDPOINT,
    REPOSITORY,
    REPOSITORY_KEY,
    edits_of,
    own_template,
)
from spatialreward.errors import InvalidInputError
from spatialreward.reading import read_toml_file

if TYPE_CHECKING:
    from spatialreward.ops.deployer.config import DeployerConfig

NOT_SERVED = 1
_VARIABLES = {"endpoint": "TRITON_GRPC_URL", "repository": "TRITON_MODEL_REPOSITORY"}


class Where(StrEnum):
    """Where a judge is served."""

    LOCAL = "local"
    KUBERNETES = "kubernetes"


class LogFormat(StrEnum):
    """How log lines look."""

    TEXT = "text"
    JSON = "json"


def watch(
    backend: Annotated[
        Where | None,
        typer.Option(
            help="local: one Triton server in explicit model control, at --endpoint and with "
            "--repository. kubernetes: a Rollout of Argo Rollouts, in --namespace. Default: "
            "what the file says."
        ),
    ] = None,
    config: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE.toml",
            envvar="SPATIALREWARD_DEPLOYER_CONFIG",
            help="Settings, as docs/promotion.md lists them. Options come before it.",
        ),
    ] = None,
    once: Annotated[
        bool,
        typer.Option(
            "--once",
            help="Look once and end: exit status 1 when the champion could not be served.",
        ),
    ] = False,
    name: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="The registered model. Default: spatial-reward."),
    ] = None,
    endpoint: Annotated[str | None, ENDPOINT] = None,
    repository: Annotated[Path | None, REPOSITORY] = None,
    repository_key: Annotated[str | None, REPOSITORY_KEY] = None,
    template: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="local: Triton model to fill in: config.pbtxt and 1/model.py. Default: the "
            "judge's own.",
        ),
    ] = None,
    namespace: Annotated[
        str | None,
        typer.Option(help="kubernetes: where the judge is served. Default: spatialreward."),
    ] = None,
    smoke_edits: Annotated[
        Path | None,
        typer.Option(metavar="FILE.jsonl", help="Edits that a version must judge to be served."),
    ] = None,
    probe_edits: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE.jsonl",
            help="Edits on which a version is compared with the served one before the switch: "
            "failures, time, agreement of the rewards.",
        ),
    ] = None,
    reconcile_s: Annotated[
        float | None, typer.Option(help="Seconds between two looks. Default: 15.")
    ] = None,
    host: Annotated[
        str | None, typer.Option(help="Address of health and metrics. Default: 127.0.0.1.")
    ] = None,
    port: Annotated[
        int | None, typer.Option(help="Its port; 0: a free one. Default: 8080.")
    ] = None,
    log_format: Annotated[
        LogFormat | None, typer.Option(help="Default: text on a terminal, json elsewhere.")
    ] = None,
) -> None:
    """Follow the alias champion: serve that version, now and whenever the alias moves.

    Registry and service are compared at the start and every --reconcile-s seconds. A new champion
    is fetched, its checksum is compared, it is loaded where no request reaches it, must judge the
    smoke edits and, on the probe edits, agree with the served version within bounds. Only then do
    requests go to it; none is lost. A version that fails never answers one: the alias returns to
    the served version, and the tag `serving` of the failed one says why. `spatialreward promote`
    shows it, and MLflow.

    A server that was restarted loads the served version again. While MLflow is away, what is
    served stays, and /readyz says so. It may be killed at any time; the next one goes on.

    /healthz, /readyz and /metrics are at --host and --port.

    Example: spatialreward deploy watch --backend local --probe-edits examples/probes.jsonl
    """
    _set_up_logs(log_format)
    settings = _settings(
        config,
        {
            "name": name,
            "smoke_edits": smoke_edits,
            "probe_edits": probe_edits,
            "reconcile_s": reconcile_s,
            "host": host,
            "port": port,
        },
        _backend(config, backend, endpoint, repository, repository_key, template, namespace),
    )
    smoke, probes = edits_of(settings.smoke_edits), edits_of(settings.probe_edits)
    # MLflow's client tries for minutes by itself; here the next look is the next try.
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "20")
    # Its bars are no log lines.
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    from spatialreward.ops.deployer.loop import Deployer, backend_of
    from spatialreward.ops.deployer.reconcile import Outcome

    deployer = Deployer(settings, backend_of(settings, smoke, probes))
    with sigterm_as_exit():
        if not once:
            deployer.run()
            return
        look = deployer.once()
    typer.echo(look.message)
    if look.outcome in (Outcome.ERROR, Outcome.FAILED):
        raise typer.Exit(NOT_SERVED)


def _settings(
    path: Path | None, options: dict[str, Any], backend: dict[str, Any]
) -> "DeployerConfig":
    import json

    from spatialreward.ops.config import read_settings
    from spatialreward.ops.deployer.config import DeployerConfig

    given = _table(path) | {key: value for key, value in options.items() if value is not None}
    given["backend"] = backend
    where = f"deployer, {path}" if path else "deployer"
    return read_settings(DeployerConfig, json.dumps(given, default=str), where)


def _backend(
    path: Path | None,
    backend: Where | None,
    endpoint: str | None,
    repository: Path | None,
    repository_key: str | None,
    template: Path | None,
    namespace: str | None,
) -> dict[str, Any]:
    told = _table(path).get("backend", {})
    if not isinstance(told, dict):
        raise InvalidInputError(f"{path}: backend: expected a table")
    kind = backend or told.get("kind")
    match kind:
        case Where.LOCAL:
            options = {
                "endpoint": endpoint,
                "repository": repository,
                "repository_key": repository_key,
                "template": template,
            }
            for name in ("endpoint", "repository"):
                if options[name] is None and name not in told:
                    raise InvalidInputError(
                        f"deployer: --{name} missing: give it here, in the environment as "
                        f"{_VARIABLES[name]}, or in the file's [backend]"
                    )
            if template is None and "template" not in told:
                options["template"] = own_template()
        case Where.KUBERNETES:
            options = {"namespace": namespace}
        case _:
            raise InvalidInputError("deployer: where to serve? give --backend local or kubernetes")
    given = {key: value for key, value in options.items() if value is not None}
    return {**told, **given, "kind": str(kind)}


def _table(path: Path | None) -> dict[str, Any]:
    return {} if path is None else read_toml_file(path)


def _set_up_logs(asked: LogFormat | None) -> None:
    from spatialreward.json_logs import JsonLines

    chosen = asked or (LogFormat.TEXT if sys.stderr.isatty() else LogFormat.JSON)
    if chosen is LogFormat.JSON:
        for handler in logging.getLogger().handlers:
            handler.setFormatter(JsonLines())
