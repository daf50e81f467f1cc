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


class SomebodyElseDeploys(NothingKnown):
    """Another process is deploying; nothing was begun."""


class TrialFailed(DeploymentError):
    """A version answers, but not as the one that is served; it was not switched to."""


class TrialInconclusive(DeploymentError):
    """Too little was asked of a version to tell how it does; it was not switched to."""
