"""Puts a checkpoint into service on a Triton server."""

from spatialreward.ops.deployment.errors import DeploymentError
from spatialreward.ops.deployment.lifecycle import deploy, restore

__all__ = ["DeploymentError", "deploy", "restore"]
