"""Puts checkpoints into service on a Triton server, and takes them out again."""

from spatialreward.ops.deployment.errors import DeploymentError
from spatialreward.ops.deployment.history import Deployment, History, VersionState
from spatialreward.ops.deployment.lifecycle import deploy, deploy_once, load_again, rollback

__all__ = [
    "Deployment",
    "DeploymentError",
    "History",
    "VersionState",
    "deploy",
    "deploy_once",
    "load_again",
    "rollback",
]
