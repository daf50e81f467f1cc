"""Puts checkpoints into service on a Triton server, and takes them out again."""

from spatialreward.deployment.errors import DeploymentError
from spatialreward.deployment.history import Deployment, History, VersionState
from spatialreward.deployment.lifecycle import deploy, deploy_once, load_again, rollback

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
