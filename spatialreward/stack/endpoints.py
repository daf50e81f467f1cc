"""The endpoints file: where the services of a running stack are, and which processes they are."""

import json
import os
import tempfile
from pathlib import Path

from pydantic import ValidationError

from spatialreward.records import Record
from spatialreward.stack.config import Service, StackError

FILE_NAME = "endpoints.json"
LITTER_NAME = "litter.json"


class ProcessIdentity(Record):
    """A process for as long as it lives: a number is used again, number and start time are not."""

    pid: int
    create_time: float
    """Seconds since the epoch, as psutil reports it."""


class ServiceProcess(ProcessIdentity):
    """The first process of a service; its children belong to it."""

    name: Service
    log: Path


class S3Endpoint(Record):
    """The object store and the credentials that were made for this stack."""

    endpoint_url: str
    access_key: str
    secret_key: str


class MlflowEndpoint(Record):
    """The tracking server and model registry."""

    tracking_uri: str


class TritonEndpoint(Record):
    """The inference server; addresses are ``host:port`` as Triton's clients take them."""

    http: str
    grpc: str
    metrics: str
    """URL of the Prometheus metrics."""
    model_repository: Path
    repository_key: str
    """What the server asks of those who load models or change its settings."""


class Endpoints(Record):
    """A running stack. A service that was left out is None."""

    s3: S3Endpoint | None = None
    mlflow: MlflowEndpoint | None = None
    triton: TritonEndpoint | None = None
    processes: tuple[ServiceProcess, ...] = ()
    owner: ProcessIdentity | None = None
    """The process that will stop the stack when it ends; None when ``down`` has to be called."""

    @property
    def services(self) -> tuple[Service, ...]:
        """The services that this stack was started with."""
        return tuple(process.name for process in self.processes)


def write_private(path: Path, text: str) -> None:
    """Replace a file in one step, readable by its owner only."""
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def write_endpoints(endpoints: Endpoints, state_dir: Path) -> None:
    """Write the endpoints file atomically, with mode 0600 because it holds credentials."""
    write_private(state_dir / FILE_NAME, endpoints.model_dump_json(indent=2) + "\n")


def read_endpoints(state_dir: Path) -> Endpoints | None:
    """Read the endpoints file; None where no stack is up.

    The file says what was started, not what still runs: ``status`` finds out.

    Raises:
        StackError: the file cannot be read as endpoints.
    """
    path = state_dir / FILE_NAME
    try:
        text = path.read_text(encoding="utf-8")
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise StackError(f"{path}: {error.strerror}") from error
    try:
        return Endpoints.model_validate_json(text)
    except ValidationError as error:
        raise StackError(f"{path}: is not an endpoints file, remove it to go on") from error


def environment(endpoints: Endpoints) -> dict[str, str]:
    """Environment variables through which steps and clients find the services of a stack."""
    variables = {"NO_PROXY": _without_proxy(), "no_proxy": _without_proxy()}
    if endpoints.s3:
        variables |= {
            "S3_ENDPOINT_URL": endpoints.s3.endpoint_url,
            "MLFLOW_S3_ENDPOINT_URL": endpoints.s3.endpoint_url,
            "AWS_ACCESS_KEY_ID": endpoints.s3.access_key,
            "AWS_SECRET_ACCESS_KEY": endpoints.s3.secret_key,
            "AWS_DEFAULT_REGION": "us-east-1",
        }
    if endpoints.mlflow:
        variables |= {
            "MLFLOW_TRACKING_URI": endpoints.mlflow.tracking_uri,
            "MLFLOW_DISABLE_TELEMETRY": "true",
        }
    if endpoints.triton:
        variables |= {
            "TRITON_HTTP_URL": endpoints.triton.http,
            "TRITON_GRPC_URL": endpoints.triton.grpc,
            "TRITON_MODEL_REPOSITORY": str(endpoints.triton.model_repository),
            "TRITON_REPOSITORY_KEY": endpoints.triton.repository_key,
        }
    return variables


def write_litter(patterns: list[str], state_dir: Path) -> None:
    """Note which files outside the state folder (as glob patterns) a stack will leave behind."""
    write_private(state_dir / LITTER_NAME, json.dumps(patterns) + "\n")


def read_litter(state_dir: Path) -> list[str]:
    """Read what ``write_litter`` noted."""
    path = state_dir / LITTER_NAME
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else []


def _without_proxy() -> str:
    """The user's own exceptions from the proxy, and the loopback addresses."""
    names = os.environ.get("NO_PROXY", os.environ.get("no_proxy", "")).split(",")
    return ",".join(dict.fromkeys([*filter(None, names), "127.0.0.1", "localhost"]))
