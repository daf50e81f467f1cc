"""Errors of Kubeflow Pipelines. Each message names the server."""

from spatialreward.errors import SpatialRewardError


class KubeflowError(SpatialRewardError, RuntimeError):
    """Kubeflow Pipelines cannot be reached, refuses, or answers with something unusable."""


class ServerUnreachable(KubeflowError):
    """No connection, so the server received nothing."""


class AnswerLost(KubeflowError):
    """The request was sent and the answer did not arrive: its effect is unknown."""


class ServerFault(KubeflowError):
    """The server, or a proxy before it, reports a failure or an overload."""


class NotFound(KubeflowError):
    """The server has no such run, pipeline, experiment or schedule."""


class AlreadyThere(KubeflowError):
    """The name is taken, or the state does not allow the request."""


class RequestRefused(KubeflowError):
    """The server calls the request wrong; a retry would not help."""


class OutcomeUnknown(KubeflowError):
    """A run or a schedule may or may not exist; it was not made a second time."""
