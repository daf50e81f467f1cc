"""Says how the services of a stack are."""

from pathlib import Path
from typing import NamedTuple

from spatialreward.stack.config import Service, StackError
from spatialreward.stack.endpoints import Endpoints, ServiceProcess, read_endpoints
from spatialreward.stack.launch import MLFLOW_HEALTH, S3_HEALTH, TRITON_HEALTH, answers
from spatialreward.stack.processes import is_alive, last_line


class ServiceStatus(NamedTuple):
    """How one service of a stack is."""

    service: Service
    healthy: bool
    detail: str
    """One line: where it answers, or what is wrong and where its log is."""


def status(state_dir: Path) -> list[ServiceStatus]:
    """Ask each service of a stack how it is; an empty list where no stack is up."""
    endpoints = read_endpoints(state_dir)
    if endpoints is None:
        return []
    return [_status_of(process, endpoints) for process in endpoints.processes]


def _status_of(process: ServiceProcess, endpoints: Endpoints) -> ServiceStatus:
    where, path = _address(process.name, endpoints)
    if not is_alive(process):
        detail = f"died: {last_line(process.log)} (log: {process.log})"
        return ServiceStatus(process.name, False, detail)
    if not answers(where + path):
        return ServiceStatus(process.name, False, f"does not answer at {where} ({process.log})")
    return ServiceStatus(process.name, True, where)


def _address(service: Service, endpoints: Endpoints) -> tuple[str, str]:
    """Where a service answers, and the path of its health check."""
    match service:
        case Service.S3 if endpoints.s3:
            return endpoints.s3.endpoint_url, S3_HEALTH
        case Service.MLFLOW if endpoints.mlflow:
            return endpoints.mlflow.tracking_uri, MLFLOW_HEALTH
        case Service.TRITON if endpoints.triton:
            return f"http://{endpoints.triton.http}", TRITON_HEALTH
    raise StackError(f"the endpoints file has a process but no address for {service}")
