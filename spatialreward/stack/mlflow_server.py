"""The MLflow server: SQLite for runs and the registry, artifacts passed on to the S3 store."""

import importlib.util
import os
import sys
from collections.abc import Iterator

from spatialreward.stack.config import Service, StackConfig, StackError
from spatialreward.stack.endpoints import (
    Endpoints,
    MlflowEndpoint,
    S3Endpoint,
    environment,
)
from spatialreward.stack.launch import MLFLOW_HEALTH, Launch
from spatialreward.stack.ports import LOOPBACK, require_free

BUCKET = "mlflow"


def launch_mlflow(
    config: StackConfig, free: Iterator[int], s3: S3Endpoint
) -> tuple[Launch, MlflowEndpoint]:
    """Prepare the tracking server; runs and models of an earlier start are kept."""
    for module in ("mlflow", "boto3"):
        if importlib.util.find_spec(module) is None:
            raise StackError(f"mlflow: the package {module} is missing: pip install {module}")
    folder = config.state_dir / "mlflow"
    folder.mkdir(parents=True, exist_ok=True)
    port = require_free(config.ports.mlflow or next(free), "mlflow")
    endpoint = MlflowEndpoint(tracking_uri=f"http://{LOOPBACK}:{port}")
    command = [
        sys.executable,
        "-m",
        "mlflow",
        "server",
        # Relative to the working folder: no character of the state folder's name can break it.
        "--backend-store-uri=sqlite:///mlflow.db",
        f"--artifacts-destination=s3://{BUCKET}",
        "--serve-artifacts",
        f"--host={LOOPBACK}",
        f"--port={port}",
        "--workers=1",
    ]
    own = environment(Endpoints(s3=s3)) | {
        "MLFLOW_DISABLE_TELEMETRY": "true",
        # Five more processes that nothing here uses.
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
        "PYTHONUNBUFFERED": "1",
    }
    # A tracking address or run of the caller's must not reach the server itself.
    inherited = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("MLFLOW_", "_MLFLOW_"))
    }
    launch = Launch(
        service=Service.MLFLOW,
        command=command,
        environment=inherited | own,
        folder=folder,
        health_url=endpoint.tracking_uri + MLFLOW_HEALTH,
    )
    return launch, endpoint
