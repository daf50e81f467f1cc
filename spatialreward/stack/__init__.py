"""The local stack: SeaweedFS as S3, an MLflow server and Triton's server on loopback ports."""

from spatialreward.stack.config import Ports, Service, StackConfig, StackError, stack_command
from spatialreward.stack.endpoints import Endpoints, environment, read_endpoints
from spatialreward.stack.health import ServiceStatus, status
from spatialreward.stack.lifecycle import down, up
from spatialreward.stack.ownership import running_stack

__all__ = [
    "Endpoints",
    "Ports",
    "Service",
    "ServiceStatus",
    "StackConfig",
    "StackError",
    "down",
    "environment",
    "read_endpoints",
    "running_stack",
    "stack_command",
    "status",
    "up",
]
