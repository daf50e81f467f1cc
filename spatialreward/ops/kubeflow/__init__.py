"""Kubeflow Pipelines: publishing a pipeline, and starting, following and retrying its runs.

Builds on the API's generated client, and knows nothing of how a pipeline is written. Only
``client`` imports that client, so that ``--help`` stays fast and works without it.
"""

from spatialreward.ops.kubeflow.config import Credentials, ServerConfig
from spatialreward.ops.kubeflow.errors import KubeflowError
from spatialreward.ops.kubeflow.package import Package, parse_parameters, read_package, steps_of
from spatialreward.ops.kubeflow.runs import find_run, find_schedule, follow, steps_of_run
from spatialreward.ops.kubeflow.submission import Request, publish, schedule, start

__all__ = [
    "Credentials",
    "KubeflowError",
    "Package",
    "Request",
    "ServerConfig",
    "find_run",
    "find_schedule",
    "follow",
    "parse_parameters",
    "publish",
    "read_package",
    "schedule",
    "start",
    "steps_of",
    "steps_of_run",
]
