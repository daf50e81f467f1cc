"""What goes wrong in a deployment that the checkpoint's own files do not explain."""

from spatialreward.errors import SpatialRewardError


class DeploymentError(SpatialRewardError, RuntimeError):
    """A version could not be served; the message names it and carries the server's reason."""


class NothingKnown(DeploymentError):
    """What went wrong says nothing about the version; it may be tried again."""


class ServerAway(NothingKnown):
    """No server answers."""


class KeyRefused(NothingKnown):
    """The server asks for a key to its model-repository API, and this one is not it."""


class DeploymentUnderWay(NothingKnown):
    """Another process is deploying; nothing was started."""


class TrialFailed(DeploymentError):
    """A version answers, but otherwise than the served one; no requests were brought to it."""


class TrialInconclusive(DeploymentError):
    """A version had too few requests to be judged by; the served version stays."""
