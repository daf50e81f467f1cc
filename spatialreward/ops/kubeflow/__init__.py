"""Kubeflow Pipelines over HTTP: publishing a pipeline, starting, following and mending its runs.

Knows the API server (v2beta1) and compiled pipelines, and nothing of how a pipeline is written.
"""

from spatialreward.ops.kubeflow.client import KubeflowPipelines
from spatialreward.ops.kubeflow.config import Credentials, ServerConfig
from spatialreward.ops.kubeflow.errors import KubeflowError
from spatialreward.ops.kubeflow.following import follow, steps_of_run
from spatialreward.ops.kubeflow.lookup import find_run, find_schedule
from spatialreward.ops.kubeflow.package import Package, parse_parameters, read_package, steps_of
from spatialreward.ops.kubeflow.records import RecurringRun, Run
from spatialreward.ops.kubeflow.submission import Request, publish, schedule, start
from spatialreward.ops.kubeflow.transport import Transport

__all__ = [
    "Credentials",
    "KubeflowError",
    "KubeflowPipelines",
    "Package",
    "RecurringRun",
    "Request",
    "Run",
    "ServerConfig",
    "Transport",
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
