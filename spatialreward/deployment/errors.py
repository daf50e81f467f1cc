"""What goes wrong in a deployment that the checkpoint's own files do not explain."""

from spatialreward.errors import SpatialRewardError


class DeploymentError(SpatialRewardError, RuntimeError):
    """A version could not be served; the message names it and carries the server's reason."""
