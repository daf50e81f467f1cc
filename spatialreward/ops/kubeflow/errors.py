"""What can go wrong between here and Kubeflow Pipelines. Each message names the server."""

from spatialreward.errors import SpatialRewardError


class KubeflowError(SpatialRewardError, RuntimeError):
    """Kubeflow Pipelines cannot be asked, or its answer cannot be used."""


class ServerUnreachable(KubeflowError):
    """No connection came about, so nothing was asked of the server."""


class CertificateRefused(ServerUnreachable):
    """A server is there, but its certificate is not trusted."""


class AnswerLost(KubeflowError):
    """The server was asked, and its answer did not arrive: what it did is not known."""


class ServerFault(KubeflowError):
    """The server, or what stands before it, says that it failed or is overloaded."""


class AccessRefused(KubeflowError):
    """The server, or a proxy before it, wants to know who asks, or does not allow it."""


class NotFound(KubeflowError):
    """The server knows no such run, pipeline, experiment or schedule."""


class AlreadyThere(KubeflowError):
    """The name is taken, or the state does not allow what was asked."""


class RequestRefused(KubeflowError):
    """The server says that the request is wrong; asking again would not help."""


class NotKubeflowPipelines(KubeflowError):
    """Something answers there, but not as the API of Kubeflow Pipelines does."""


class OutcomeUnknown(KubeflowError):
    """Whether a run or a schedule was made is not known; it was not made a second time."""
