"""What goes wrong between the deployer and the cluster."""

from spatialreward.ops.deployment.errors import DeploymentError, NothingKnown


class ClusterAway(NothingKnown):
    """The cluster's API does not answer, or refuses everybody."""


class ClusterRefused(DeploymentError):
    """The cluster does not take an object; the message names it and says why."""

    def __init__(self, message: str, status: int) -> None:
        """Keep the status of the answer."""
        super().__init__(message)
        self.status = status
