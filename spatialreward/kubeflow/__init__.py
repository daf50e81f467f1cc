"""Kubeflow Pipelines over HTTP: publishing a pipeline, starting, following and mending its runs.

Knows the API server (v2beta1) and compiled pipelines, and nothing of how a pipeline is written.
"""

from spatialreward.kubeflow.client import KubeflowPipelines
from spatialreward.kubeflow.config import Credentials, ServerConfig
from spatialreward.kubeflow.errors import KubeflowError
from spatialreward.kubeflow.following import follow, steps_of_run
from spatialreward.kubeflow.lookup import find_run, find_schedule
from spatialreward.kubeflow.package import Package, parse_parameters, read_package, steps_of
from spatialreward.kubeflow.records import RecurringRun, Run
from spatialreward.kubeflow.submission import Request, publish, schedule, start
from spatialreward.kubeflow.transport import Transport

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
