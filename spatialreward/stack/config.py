"""What the local stack consists of, and what a caller may choose about it."""

import shlex
from enum import StrEnum
from pathlib import Path
from typing import Annotated

from pydantic import Field, PositiveFloat

from spatialreward.errors import SpatialRewardError
from spatialreward.records import Record

Port = Annotated[int, Field(ge=1024, le=65535)]


class StackError(SpatialRewardError, RuntimeError):
    """The local stack cannot be started, found or stopped; one line says what is wrong."""


class Service(StrEnum):
    """The services of the stack, in the order in which they are listed to people."""

    S3 = "s3"
    MLFLOW = "mlflow"
    TRITON = "triton"


class Ports(Record):
    """Ports on 127.0.0.1; one that is not given is chosen among the free ones."""

    s3: Port | None = None
    mlflow: Port | None = None
    triton_http: Port | None = None
    triton_grpc: Port | None = None
    triton_metrics: Port | None = None


DEFAULT_STATE_DIR = Path("build/stack")


def stack_command(verb: str, state_dir: Path) -> str:
    """The command line that does something to the stack in a state folder, and to no other."""
    if state_dir.absolute() == DEFAULT_STATE_DIR.absolute():
        return f"spatialreward stack {verb}"
    return f"spatialreward stack {verb} --state-dir {shlex.quote(str(state_dir))}"


class StackConfig(Record):
    """One local stack: where it keeps its state, and which services it runs."""

    state_dir: Path = DEFAULT_STATE_DIR
    """Folder with data, logs and ``endpoints.json``; two stacks never share one."""
    without: frozenset[Service] = frozenset()
    """Services to leave out."""
    triton_python: Path = Path(".venv-triton/bin/python")
    """Interpreter of the environment that holds Triton's server (``nvidia-pytriton``)."""
    weed: Path | None = None
    """SeaweedFS's binary; by default beside the running interpreter, else the first on PATH."""
    ports: Ports = Ports()
    start_timeout_s: PositiveFloat = 120.0
    """How long all services together may take to become healthy."""

    @property
    def services(self) -> tuple[Service, ...]:
        """The services that are to run."""
        return tuple(service for service in Service if service not in self.without)
